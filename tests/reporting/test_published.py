"""Reading the published numbers."""

from datetime import date
from decimal import Decimal

import pytest

from st_kpi.columns import ColumnType as T
from st_kpi.reporting import published
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

MONDAY = date(2025, 1, 6)
WEEKLY = (
    ("tenant_id", T.INT64), ("kpi", T.STRING), ("rollup", T.STRING), ("role", T.STRING),
    ("week_start", T.DATE), ("numerator", T.NUMERIC), ("denominator", T.NUMERIC),
    ("value", T.NUMERIC), ("as_of", T.DATE), ("input_watermark", T.TIMESTAMP),
)  # fmt: skip


@pytest.fixture
def warehouse() -> DuckDBWarehouse:
    empty = DuckDBWarehouse(":memory:")
    empty.ensure(raw_tables())
    rows = [
        ("produced", "East", "PRODUCTION", 150, None),
        ("produced", "East", "SALES", 50, None),
        ("produced", "West", "PRODUCTION", 100, None),
        ("produced", "(unassigned)", None, 7, None),
        ("gpm", "East", "PRODUCTION", 1, 3),
        ("gpm", "West", "PRODUCTION", 0, 0),
    ]
    empty.write_table(
        "st_kpi.kpi_weekly",
        WEEKLY,
        [[1, k, r, role, MONDAY, n, d, None, MONDAY, None] for k, r, role, n, d in rows],
    )
    empty.write_table(
        "st_ref.dim_kpis",
        [("kpi", T.STRING), ("title", T.STRING), ("kind", T.STRING), ("unit", T.STRING),
         ("version", T.INT64), ("display_order", T.INT64)],
        [["produced", "$ Produced", "sum", "money", 1, 1], ["gpm", "G.P.M", "ratio", "percent", 1, 2]],
    )  # fmt: skip
    empty.write_table(
        "st_ref.dim_bu_rollup",
        [("tenant_id", T.INT64), ("rollup", T.STRING)],
        [[1, "East"], [1, "West"], [1, "North"]],
    )
    return empty


@pytest.mark.parametrize(
    ("kpi", "rollup", "value"),
    [
        pytest.param("produced", "East", "200", id="a rollup is the sum of its roles"),
        pytest.param("produced", "All", "300", id="unassigned money is not counted"),
        pytest.param("produced", "North", "0", id="a sum without rows is zero"),
        pytest.param("gpm", "East", "0.333333333", id="nine places"),
        pytest.param("gpm", "West", None, id="over zero is nothing"),
        pytest.param("gpm", "North", None, id="a ratio without rows is nothing"),
        pytest.param("gpm", "All", "0.333333333", id="sums over sums"),
    ],
)
def test_values(warehouse: DuckDBWarehouse, kpi: str, rollup: str, value: str | None) -> None:
    shown = published.read(warehouse)
    (chosen,) = (k for k in shown.kpis if k.name == kpi)
    assert shown.value(chosen, MONDAY, rollup) == (None if value is None else Decimal(value))


def test_another_tenant_is_named(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(
        published.ConfigurationError, match="one of the tenants in the warehouse: 1"
    ):
        published.read(warehouse, tenant_id=2)
