"""From ServiceTitan into the raw tables: planned, fetched, typed, merged, and every row accounted for."""
