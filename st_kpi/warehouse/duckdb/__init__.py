"""The engine of a laptop and of the tests: one file, one writer."""
