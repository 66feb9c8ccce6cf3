"""The SQL of ``kpi_sql``: read, ordered, checked before it runs, and carried over to DuckDB."""
