"""Reading the published numbers."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from st_kpi.cli.render_weekly import weekly_table
from st_kpi.columns import ColumnType as T
from st_kpi.reporting import published
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import field
from tests.support.raw_rows import Tenant

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


def test_the_weeks_of_a_selection(small: Tenant) -> None:
    """Its rows are of the first week of three, and the build is of the third, which has none yet."""
    small.build(field.MONDAY)
    first, last = field.WEEK, field.MONDAY
    second = first + timedelta(7)

    def shown(**selection: object) -> published.Published:
        return published.read(small.warehouse, **selection)  # type: ignore[arg-type]

    assert shown(week=second).weeks == (second,)
    assert shown(week=second, weeks=2).weeks == (first, second)
    assert shown(week=second, weeks=9).weeks == (first, second)
    assert shown(weeks=2).weeks == (second, last)
    assert len(shown().weeks) == 8
    current = shown(week=last + timedelta(6))
    assert current.weeks == (last,)
    assert current.value(current.kpis[0], last, "East") == 0
    said = f"There is no week of 2025-01-27: the weeks go from {first} to {last}, that of the last build being {last}."
    with pytest.raises(published.ConfigurationError, match=said):
        shown(week=last + timedelta(7))


def test_only_the_week_of_the_build_may_still_be_running(small: Tenant) -> None:
    small.build(field.MONDAY)
    running = f"The week of {field.MONDAY} may still be running."
    assert running in weekly_table(published.read(small.warehouse))
    old = weekly_table(published.read(small.warehouse, week=field.WEEK))
    assert "may still be running" not in old
    assert f"As of {field.MONDAY}" in old
