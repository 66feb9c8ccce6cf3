"""Every statement of a folder of SQL."""

from pathlib import Path

from st_kpi.kpis.definitions.statements import Statement, read_file, sql_files


def read_statements(root: Path) -> list[Statement]:
    """Read every file; raises ``SqlError`` for the first that cannot be used."""
    return [statement for path in sql_files(root) for statement in read_file(path, root)]
