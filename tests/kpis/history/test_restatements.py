"""What was reported stays; what changed later is told beside it; no past day is ever measured."""

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from st_kpi.cli.render_weekly import weekly_table
from st_kpi.kpis.history.restatements import Measured, may_measure
from st_kpi.reporting import published

pytestmark = pytest.mark.long

WEEK = dt.date(2025, 1, 6)
MONDAY = dt.date(2025, 1, 13)
TUESDAY = dt.date(2025, 1, 14)
THURSDAY = dt.date(2025, 1, 16)
PHOENIX = ZoneInfo("America/Phoenix")


def reported(tenant: Any, kpi: str, week: dt.date = WEEK) -> list[tuple[Any, ...]]:
    rows = tenant.query(
        "SELECT kpi, week_start, `rollup`, kind, value, cause, reported_as_of, run_id, build"
        " FROM st_kpi.kpi_reported ORDER BY build, kind, `rollup`"
    )
    return [
        (r["kind"], r["rollup"], r["value"], r["cause"], str(r["reported_as_of"]), r["run_id"])
        for r in rows
        if (r["kpi"], r["week_start"]) == (kpi, week)
    ]


def test_an_estimate_sold_later_changes_the_current_value_and_not_the_reported_one(
    built: Any,
) -> None:
    built.edit(
        {"estimates": [{"id": 4, "status_name": "Sold", "sold_on": "2025-01-15 18:00"}]},
    )
    built.build(THURSDAY, run_id="two")
    assert built.weekly("success_rate")[WEEK, "East"]["value"] == 1
    assert reported(built, "success_rate") == [
        ("reported", "East", Decimal("0.666666667"), None, "2025-01-14", "one"),
        ("restatement", "East", Decimal(1), "status moved", "2025-01-16", "two"),
    ]
    shown = published.read(built.warehouse, kpi="success_rate", week=WEEK, as_reported=True)
    (kpi,) = shown.kpis
    assert kpi.format(shown.value(kpi, WEEK, "East")) == "66.67%"
    now = published.read(built.warehouse, kpi="success_rate", week=WEEK)
    assert kpi.format(now.value(kpi, WEEK, "East")) == "100.00%"


@pytest.mark.parametrize(
    ("as_of", "after", "frozen"),
    [(MONDAY, 2, False), (TUESDAY, 2, True), (MONDAY, 1, True), (dt.date(2025, 1, 12), 0, True)],
    ids=["a day early", "on the day", "one day after Sunday", "on the Sunday itself"],
)
def test_a_week_closes_some_days_after_its_sunday(
    worked_weeks: Any, as_of: dt.date, after: int, frozen: bool
) -> None:
    worked_weeks.build(as_of, close_week_after_days=after)
    assert bool(reported(worked_weeks, "leads")) is frozen


def test_a_cell_that_was_zero_is_restated_from_nothing_and_back(built: Any) -> None:
    late = {"id": 9001, "job_id": 101, "business_unit_id": 4, "sub_total": 100}
    built.edit({"jobs": [{"id": 104, "business_unit_id": 4}]})
    built.build(TUESDAY, run_id="two")
    built.edit({"jobs": [{"id": 104, "business_unit_id": 2}]})
    built.add({"invoices": [late]})
    built.build(TUESDAY, run_id="three")
    assert reported(built, "produced") == [
        ("reported", "East", 4900, None, "2025-01-14", "one"),
        ("restatement", "East", 4400, "business unit moved", "2025-01-14", "two"),
        ("restatement", "West", 500, "business unit moved", "2025-01-14", "two"),
        ("restatement", "East", 5000, "arrived late, business unit moved", "2025-01-14", "three"),
        ("restatement", "West", 0, "business unit moved", "2025-01-14", "three"),
    ]


def test_an_edited_mapping_restates_history_and_the_reported_rollups_stay(built: Any) -> None:
    built.map(
        units="business_unit,rollup,role,valid_from,valid_to\n"
        "1,One,SALES,,\n2,One,PRODUCTION,,\n3,One,SALES,,\n4,One,PRODUCTION,,\n"
    )
    built.build(THURSDAY, run_id="two")
    rows = reported(built, "collected")
    assert [t[:4] for t in rows] == [
        ("reported", "(unassigned)", 300, None),
        ("reported", "East", 550, None),
        ("reported", "West", 400, None),
        ("restatement", "East", 0, "remapped"),
        ("restatement", "One", 950, "remapped"),
        ("restatement", "West", 0, "remapped"),
    ]
    shown = published.read(built.warehouse, week=WEEK, as_reported=True)
    assert shown.rollups == ("East", "One", "West", "All")
    collected = next(k for k in shown.kpis if k.name == "collected")
    assert shown.value(collected, WEEK, "East") == 550
    assert shown.value(collected, WEEK, "All") == 950


def test_open_weeks_are_not_reported_yet(built: Any) -> None:
    shown = published.read(built.warehouse, as_reported=True, weeks=2)
    leads = next(k for k in shown.kpis if k.name == "leads")
    assert shown.value(leads, WEEK, "East") == 5
    assert shown.value(leads, MONDAY, "East") is None
    assert "a dash where a week is still open" in weekly_table(shown)


def test_a_build_that_changes_nothing_restates_nothing(built: Any) -> None:
    before = built.query("SELECT COUNT(*) AS n FROM st_kpi.kpi_reported")
    built.build(TUESDAY, full=True)
    assert built.query("SELECT COUNT(*) AS n FROM st_kpi.kpi_reported") == before


@pytest.mark.parametrize(
    ("as_of", "last", "newest", "may"),
    [
        (TUESDAY, None, "2025-01-14 20:00", True),
        (TUESDAY, (MONDAY, "2025-01-13 20:00"), "2025-01-14 20:00", True),
        (MONDAY, (TUESDAY, "2025-01-14 20:00"), "2025-01-14 20:00", False),
        (TUESDAY, (TUESDAY, "2025-01-14 20:00"), "2025-01-15 06:59", True),
        (TUESDAY, (TUESDAY, "2025-01-14 20:00"), "2025-01-15 07:00", False),
        (TUESDAY, (TUESDAY, "2025-06-01 20:00"), "2025-06-01 23:00", True),
        (TUESDAY, (TUESDAY, "2025-06-01 20:00"), "2025-06-02 20:00", False),
        (TUESDAY, (TUESDAY, None), "2025-01-16 20:00", False),
        (TUESDAY, (TUESDAY, None), None, True),
    ],
    ids=[
        "nothing measured yet",
        "a new day",
        "a day before the last measured one",
        "the same day, before local midnight",
        "the same day, rows of the next local day",
        "a past day given as today, again on the day it was measured",
        "a past day given as today, rows a day newer",
        "nothing known of the rows then, newer ones now",
        "nothing known of the rows",
    ],
)
def test_which_days_may_be_measured(
    as_of: dt.date, last: tuple[dt.date, str | None] | None, newest: str | None, may: bool
) -> None:
    def utc(text: str | None) -> dt.datetime | None:
        return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) if text else None

    measured = Measured(last[0], utc(last[1])) if last else None
    answer = may_measure(as_of, last=measured, input_watermark=utc(newest), zone=PHOENIX)
    assert answer is may


def test_a_rebuild_of_a_past_day_measures_nothing(built: Any) -> None:
    built.build(THURSDAY)
    built.edit({"invoices": [{"id": 1003, "sub_total": 1}]})
    past = dt.date(2025, 1, 15)
    result = built.build(past, full=True)
    assert not result.measured
    assert f"The snapshots of {past} were left as they are" in result.summary()
    days = built.query("SELECT DISTINCT day FROM st_kpi.snapshot_days ORDER BY day")
    assert [r["day"] for r in days] == [TUESDAY, THURSDAY]
    bookings = built.query(
        "SELECT DISTINCT on_date FROM st_kpi.contributions WHERE kpi = 'future_bookings'"
    )
    assert past not in {r["on_date"] for r in bookings}
    assert built.weekly("produced")[WEEK, "East"]["value"] == 1901
