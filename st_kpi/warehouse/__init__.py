"""The sink: one protocol, an engine per module."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from st_kpi.errors import ConfigurationError
from st_kpi.settings import Settings
from st_kpi.warehouse.base import BigQueryOptions, Warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

__all__ = ["BigQueryOptions", "Warehouse", "bigquery_options", "open_warehouse"]

_DUCKDB = "duckdb:///"
_BIGQUERY = "bigquery://"


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
    warehouse = _opened(url, read_only, create, bigquery)
    try:
        yield warehouse
    finally:
        warehouse.close()


def _opened(url: str, read_only: bool, create: bool, options: BigQueryOptions | None) -> Warehouse:
    if url.startswith(_BIGQUERY):
        # A second that only those wait for who use it.
        from st_kpi.warehouse.bigquery.engine import BigQueryWarehouse

        project, location = _place(url)
        return BigQueryWarehouse(project, location, options, create=create and not read_only)
    path = url.removeprefix(_DUCKDB)  # not as a URL: a path may have a # in it
    if path == url or not path.strip("/"):
        raise ConfigurationError(
            f"The warehouse {url!r} is not understood: use duckdb:///path/to/file.duckdb"
            " or bigquery://project?location=US."
        )
    if "?" in path:  # DuckDB takes the rest for a query and would keep its log under another name
        raise ConfigurationError(f"The warehouse file {path} cannot have a ? in its path.")
    return DuckDBWarehouse(path, read_only=read_only, create=create)


def _place(url: str) -> tuple[str, str]:
    """Project and location of a BigQuery address."""
    project, _, query = url.removeprefix(_BIGQUERY).partition("?")
    given = parse_qs(query, keep_blank_values=True)
    location = given.pop("location", ["US"])
    if (
        not re.fullmatch(r"([a-z0-9.-]+:)?[a-z0-9-]+", project)
        or given
        or len(location) != 1
        or not re.fullmatch(r"[A-Za-z0-9-]+", location[0])
    ):
        raise ConfigurationError(
            f"The warehouse {url!r} is not understood: use bigquery://project?location=US."
        )
    return project, location[0]
