"""ServiceTitan into a warehouse, and ten weekly numbers that can be proved."""
