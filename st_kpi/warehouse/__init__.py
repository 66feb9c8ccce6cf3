"""The sink: one protocol, an engine per module."""

from collections.abc import Iterator
from contextlib import contextmanager

from st_kpi.errors import ConfigurationError
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.duckdb import DuckDBWarehouse

__all__ = ["Warehouse", "open_warehouse"]

_DUCKDB = "duckdb:///"


@contextmanager
def open_warehouse(
    url: str, *, read_only: bool = False, create: bool = True
) -> Iterator[Warehouse]:
    """Open the warehouse that ``url`` names, ``duckdb:///relative``, ``duckdb:////absolute`` or ``duckdb:///:memory:``.

    Raises ``ConfigurationError`` for an address of another form, ``NothingLoaded`` where it is not there and is not to
    be created, and ``WarehouseLocked`` when another process holds the file.
    """
    path = url.removeprefix(_DUCKDB)  # not as a URL: a path may have a # in it
    if path == url or not path.strip("/"):
        raise ConfigurationError(
            f"The warehouse {url!r} is not understood: use duckdb:///path/to/file.duckdb."
        )
    if "?" in path:  # DuckDB takes the rest for a query and would keep its log under another name
        raise ConfigurationError(f"The warehouse file {path} cannot have a ? in its path.")
    warehouse = DuckDBWarehouse(path, read_only=read_only, create=create)
    try:
        yield warehouse
    finally:
        warehouse.close()
