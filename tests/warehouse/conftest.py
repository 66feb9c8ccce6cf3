"""The engines a test of the protocol runs on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.bigquery_emulator import emptied
from tests.support.live import live_warehouse
from tests.support.loader import Loader


@pytest.fixture(
    params=[
        "duckdb",
        pytest.param("bigquery", marks=pytest.mark.process),
        pytest.param("live", marks=pytest.mark.live),
    ],
)
def loader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loader]:
    """An empty warehouse of each engine, and what loads into it."""
    warehouse: Warehouse
    if request.param == "duckdb":
        warehouse = DuckDBWarehouse(":memory:")
        warehouse.ensure(raw_tables())
    elif request.param == "bigquery":
        warehouse = emptied(request.getfixturevalue("bigquery_url"))
    else:
        warehouse = live_warehouse()
    yield Loader(tmp_path, warehouse)
    warehouse.close()
