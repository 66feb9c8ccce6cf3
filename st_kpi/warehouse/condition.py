"""Whether the warehouse that an address names could be written now, found out without writing."""

from importlib.metadata import version
from pathlib import Path

from st_kpi.settings import DUCKDB
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.bigquery.options import SCHEME as BIGQUERY
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.duckdb.place import require_room


def require_place(address: str, bigquery: BigQueryOptions) -> str:
    """What holds the warehouse, in words; raises as ``require_room`` and ``require_project`` do.

    The file itself, and the datasets, need not be there.
    """
    if address.startswith(BIGQUERY):
        # A second that only those wait for who use it.
        from st_kpi.warehouse.bigquery.condition import require_project

        return require_project(address, bigquery)
    if not address.startswith(DUCKDB) or address == f"{DUCKDB}:memory:":
        return address
    free = require_room(Path(address.removeprefix(DUCKDB)))
    return f"{address}, DuckDB {version('duckdb')}, {free / 1e9:,.1f} GB free"


def require_rights(warehouse: Warehouse) -> None:
    """Raise what the engine says to a statement that would change nothing, and is not run where that can be had."""
    warehouse.estimate("DELETE FROM st_ops.runs WHERE FALSE")
