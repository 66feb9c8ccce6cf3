"""The rows behind a number add up to it, at every level, and what does not exist names what does."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.cli.opened import explained_csv, explained_json, explained_table
from st_kpi.errors import ConfigurationError, NothingLoaded
from st_kpi.reporting import published
from st_kpi.reporting.explain import explain
from st_kpi.reporting.published import ALL, UNASSIGNED

WEEK = dt.date(2025, 1, 6)
TUESDAY = dt.date(2025, 1, 14)


def test_rows_add_up_to_every_weekly_value(built: Any) -> None:
    for week in (WEEK, dt.date(2025, 1, 13)):
        shown = published.read(built.warehouse, week=week)
        for kpi in shown.kpis:
            for rollup in ("East", "West", UNASSIGNED, ALL):
                explained = explain(built.warehouse, kpi.name, week=week, rollup=rollup)
                cell = shown.cells.get((kpi.name, week, rollup))
                assert explained.numerator == (cell.numerator if cell else 0)
                assert (explained.denominator or 0) == ((cell and cell.denominator) or 0)
                parts = [r.amount for r in explained.rows if r.part != "denominator"]
                assert sum(parts) == explained.numerator
                if explained.value is not None and cell and cell.value is not None:
                    assert round(explained.value, 9) == round(cell.value, 9)
                assert len(explained.rows) > 0 or cell is None


def test_rows_add_up_to_every_daily_value(built: Any) -> None:
    daily = built.query("SELECT kpi, day, `rollup`, numerator, denominator FROM st_kpi.kpi_daily")
    for cell in daily:
        explained = explain(
            built.warehouse, cell["kpi"], week=cell["day"], day=cell["day"], rollup=cell["rollup"]
        )
        assert (explained.numerator, explained.denominator) == (
            cell["numerator"],
            cell["denominator"],
        )
        assert {row.on_date for row in explained.rows} == {cell["day"]}


def test_a_ratio_shows_both_parts(built: Any) -> None:
    explained = explain(built.warehouse, "success_rate", week=WEEK, rollup="East")
    assert (explained.numerator, explained.denominator) == (2, 3)
    assert {(r.part, r.job_id) for r in explained.rows} == {
        ("denominator", 1),
        ("denominator", 7),
        ("denominator", 10),
        ("numerator", 1),
        ("numerator", 10),
    }
    assert "2 / 3 = 66.67% (numerator / denominator), from 5 rows" in explained_table(explained)


def test_a_row_says_where_it_comes_from(built: Any) -> None:
    built.edit({"jobs": [{"id": 104, "job_number": "J-104 [x]"}]})
    built.build(TUESDAY)
    explained = explain(built.warehouse, "produced", week=WEEK, day=dt.date(2025, 1, 9))
    (row,) = explained.rows
    assert (row.job_number, row.business_unit, row.rollup) == (
        "J-104 [x]",
        "East Production",
        "East",
    )
    assert (row.source_entity, row.source_id, row.amount) == ("invoices", 1004, 500)
    assert row.reason == "invoice, first appointment"
    table = explained_table(explained)
    assert "J-104 [x]" in table
    assert (
        "$ Produced of all rollups, 2025-01-09 (the week of 2025-01-06): 500.00, from 1 rows"
        in table
    )
    assert explained_csv(explained).splitlines()[1] == (
        "2025-01-09,value,J-104 [x],East Production,East,500,"
        '"invoice, first appointment",invoices,1004,104'
    )
    document = json.loads(explained_json(explained))
    assert (document["value"], document["rows"][0]["amount"]) == ("500", "500")


def test_a_snapshot_shows_the_last_measured_day_of_its_week(built: Any) -> None:
    built.build(dt.date(2025, 1, 15))
    explained = explain(built.warehouse, "future_bookings", week=TUESDAY)
    assert explained.day == dt.date(2025, 1, 15)
    earlier = explain(built.warehouse, "future_bookings", week=TUESDAY, day=TUESDAY)
    assert earlier.day == TUESDAY
    nothing = explain(built.warehouse, "future_bookings", week=WEEK)
    assert (nothing.rows, nothing.value) == ((), None)


def test_what_belongs_to_no_unit_can_be_asked_for(built: Any) -> None:
    explained = explain(built.warehouse, "collected", week=WEEK, rollup=UNASSIGNED)
    assert [r.amount for r in explained.rows] == [Decimal(300)]
    assert explain(built.warehouse, "collected", week=WEEK).value == 950


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kpi": "lead"}, "no KPI 'lead'. The KPIs are: leads, total_booked"),
        ({"rollup": "North"}, "no rollup 'North'. The rollups are: East, West, All"),
        ({"week": dt.date(2030, 1, 1)}, "no week of 2029-12-31: the weeks go from 2024-07-08 to"),
        (
            {"day": TUESDAY},
            "no Leads of 2025-01-14: the week of 2025-01-06 has the days 2025-01-06 to",
        ),
        (
            {"kpi": "outstanding_ar", "week": TUESDAY, "day": dt.date(2025, 1, 13)},
            "no Outstanding A/R of 2025-01-13: of the week of 2025-01-13 the days 2025-01-14 were",
        ),
    ],
    ids=[
        "unknown KPI",
        "unknown rollup",
        "unknown week",
        "day of another week",
        "day not measured",
    ],
)
def test_what_does_not_exist_names_what_does(
    built: Any, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        explain(built.warehouse, **({"kpi": "leads", "week": WEEK} | arguments))


def test_before_any_build(tenant: Any) -> None:
    with pytest.raises(NothingLoaded, match="Nothing is built yet: run `st-kpi backfill`"):
        explain(tenant.warehouse, "leads", week=WEEK)
