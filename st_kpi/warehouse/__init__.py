"""The sink: one protocol, an engine per module."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from st_kpi.errors import ConfigurationError
from st_kpi.settings import DUCKDB, Settings
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.bigquery.options import SCHEME as BIGQUERY
from st_kpi.warehouse.bigquery.options import BigQueryOptions, project_and_location
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

__all__ = ["BigQueryOptions", "Warehouse", "bigquery_options", "open_warehouse"]


def bigquery_options(settings: Settings, credentials: Any = None) -> BigQueryOptions:
    """How BigQuery is reached, should the warehouse be one; ``credentials`` are those of google-auth."""
    return BigQueryOptions(
        url=settings.bigquery_url,
        load_megabytes=settings.load_megabytes,
        maximum_bytes_billed=settings.maximum_bytes_billed,
        credentials=credentials,
    )


@contextmanager
def open_warehouse(
    url: str,
    *,
    read_only: bool = False,
    create: bool = True,
    bigquery: BigQueryOptions | None = None,
) -> Iterator[Warehouse]:
    """Open the warehouse that ``url`` names.

    That is ``duckdb:///relative``, ``duckdb:////absolute`` or ``duckdb:///:memory:``, or ``bigquery://project`` and
    after it ``?location=EU`` where the datasets are not in the US. Raises ``ConfigurationError`` for an address of
    another form, ``NothingLoaded`` where it is not there and is not to be created, and ``WarehouseLocked`` when another
    process holds the file.
    """
    warehouse = _open(url, read_only, create, bigquery)
    try:
        yield warehouse
    finally:
        warehouse.close()


def _open(url: str, read_only: bool, create: bool, options: BigQueryOptions | None) -> Warehouse:
    if url.startswith(BIGQUERY):
        # A second that only those wait for who use it.
        from st_kpi.warehouse.bigquery.engine import BigQueryWarehouse

        project, location = project_and_location(url)
        return BigQueryWarehouse(project, location, options, create=create and not read_only)
    path = url.removeprefix(DUCKDB)  # not as a URL: a path may have a # in it
    if path == url or not path.strip("/"):
        raise ConfigurationError(
            f"The warehouse {url!r} is not understood: use duckdb:///path/to/file.duckdb"
            " or bigquery://project?location=US."
        )
    if "?" in path:  # DuckDB takes the rest for a query and would keep its log under another name
        raise ConfigurationError(f"The warehouse file {path} cannot have a ? in its path.")
    return DuckDBWarehouse(path, read_only=read_only, create=create)
