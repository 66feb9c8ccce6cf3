"""A warehouse from a file to the cloud and back: every row of every table, whatever the engine."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.copy import copy
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.bigquery_emulator import emptied
from tests.support.loader import Loader, invoice

CHUNK = {"tenant_id": 77, "entity": "invoices", "kind": "created", "promised": 3}
CONTRIBUTION = (77, "leads", Decimal("0.123456789"), datetime(2025, 1, 2, tzinfo=UTC).date())


@pytest.fixture
def source(tmp_path: Path) -> Iterator[DuckDBWarehouse]:
    """A file's worth of raw rows with lines, unknown fields and odd words, and a published table."""
    warehouse = DuckDBWarehouse(":memory:")
    warehouse.ensure(raw_tables())
    loader = Loader(tmp_path, warehouse)
    odd = invoice(2, 0, "-0.01") | {"summary": 'Ünïcode "quoted"\n', "brandNew": {"a": [1, None]}}
    loader.load("invoices", [invoice(1, 5, "100.5", "7", "7"), odd, invoice(3, 7, "3")])
    loader.load("jobs", [{"id": 2**53 + 1, "createdOn": "2025-01-01T00:00:00.123456Z"}])
    warehouse.insert("st_ops.chunks", [CHUNK])
    warehouse.execute(
        "INSERT INTO st_kpi.contribution_changes (tenant_id, kpi, amount, on_date)"
        " VALUES (@tenant_id, @kpi, @amount, @on_date)",
        dict(zip(("tenant_id", "kpi", "amount", "on_date"), CONTRIBUTION, strict=True)),
    )
    warehouse.replace_table("st_kpi.made", "SELECT kpi, amount FROM st_kpi.contribution_changes")
    yield warehouse
    warehouse.close()


def rows(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table; the order of a table's rows is none."""
    return {
        table: sorted(
            (
                tuple(row.values())
                for row in warehouse.query(
                    f"SELECT {', '.join(f'`{name}`' for name, _ in columns)} FROM {table}"
                )
            ),
            key=repr,
        )
        for table, columns in warehouse.tables().items()
    }


def test_there_and_back_again(source: DuckDBWarehouse, bigquery_url: str) -> None:
    cloud, back = emptied(bigquery_url), DuckDBWarehouse(":memory:")
    copied = copy(source, cloud, raw_tables())
    counted = {one.table: one.rows for one in copied}
    assert counted["st_raw.invoices"] == 3
    assert counted["st_raw.invoice_items"] == 2
    assert counted["st_kpi.made"] == 1
    assert copied[-1].table == "st_ops.chunks"
    copy(cloud, back, raw_tables())
    assert rows(back) == rows(source)
    back.close()
    cloud.close()


def test_a_copy_never_replaces_what_was_loaded(source: DuckDBWarehouse, tmp_path: Path) -> None:
    target = DuckDBWarehouse(":memory:")
    with pytest.raises(ConfigurationError, match="nothing to copy"):
        copy(target, DuckDBWarehouse(":memory:"))
    copy(source, target)
    before = rows(target)
    with pytest.raises(ConfigurationError, match="already holds loaded rows"):
        copy(source, target)
    assert rows(target) == before


def test_a_copy_that_was_stopped_is_begun_anew(source: DuckDBWarehouse) -> None:
    """Nothing counts as loaded before the last table is there."""
    target = DuckDBWarehouse(":memory:")

    def stop(one: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, raw_tables(), stop)
    copy(source, target, raw_tables())
    assert rows(target) == rows(source)
