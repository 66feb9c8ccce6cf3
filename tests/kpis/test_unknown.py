"""Unknown is not zero: what the data do not reach, lack or cannot date is no number, and is said."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from sqlglot import exp

from st_kpi.cli.render_weekly import as_json, weekly_table
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.kpis.history.restatements import closed_until
from st_kpi.reporting import published
from st_kpi.servicetitan.registry import REGISTRY
from tests.support.field import MONDAY, WEEK, read_until
from tests.support.raw_rows import Tenant

PHOENIX = ZoneInfo("America/Phoenix")
PROJECT = inspect()
LATER = dt.date(2025, 2, 28)


def reported_weeks(tenant: Tenant, kpi: str) -> set[dt.date]:
    rows = tenant.query("SELECT kpi, week_start FROM st_ops.reported_weeks")
    return {row["week_start"] for row in rows if row["kpi"] == kpi}


def test_the_small_tenant_is_what_its_cases_start_from(small: Tenant) -> None:
    small.build(MONDAY)
    assert small.weekly("produced")[WEEK, "East"]["value"] == 1000
    assert small.weekly("gpm")[WEEK, "East"]["numerator"] == 800
    assert small.weekly("total_booked")[WEEK, "East"]["value"] == 5000
    assert small.weekly("collected")[WEEK, "East"]["value"] == 600
    assert small.weekly("outstanding_ar")[MONDAY, "East"]["value"] == 400


def test_weeks_after_the_data_have_no_numbers_and_do_not_close(small: Tenant) -> None:
    result = small.build(LATER)  # the data end on January 20
    shown = published.read(small.warehouse, zone=PHOENIX)
    produced = next(k for k in shown.kpis if k.name == "produced")
    values = {week: shown.value(produced, week, "East") for week in shown.weeks}
    assert values[WEEK] == 1000
    assert values[MONDAY] == 0
    assert {v for week, v in values.items() if week > MONDAY} == {None}
    assert "a dash in the weeks after that" in weekly_table(shown)
    assert reported_weeks(small, "produced") == {WEEK, WEEK + dt.timedelta(7)}
    wide = small.query("SELECT week_start FROM st_kpi.kpi_weekly_wide ORDER BY week_start")
    assert wide[-1]["week_start"] == MONDAY
    assert "The data end on 2025-01-20 13:00 America/Phoenix: later weeks" in result.summary()


def test_a_snapshot_is_not_measured_from_data_of_a_month_ago(small: Tenant) -> None:
    assert not small.build(LATER).measured
    assert not small.weekly("outstanding_ar")


def test_a_sum_of_a_future_week_is_null_where_another_kpi_has_rows(small: Tenant) -> None:
    small.add({"appointments": [{"id": 2, "job_id": 201, "start": "2025-03-05 18:00"}]})
    small.build(MONDAY)
    (row,) = small.query("SELECT * FROM st_kpi.kpi_weekly_wide WHERE week_start = '2025-03-03'")
    assert (row["estimates_scheduled"], row["leads"], row["produced"]) == (1, None, None)


def test_freshness_is_judged_by_the_as_of_day(small: Tenant) -> None:
    (fresh,) = (c for c in small.build(MONDAY).checks if c.name == "freshness")
    assert fresh.passed
    (stale,) = (c for c in small.build(LATER).checks if c.name == "freshness")
    assert stale.failed_rows == 15
    read_until(
        small, dt.datetime.combine(LATER, dt.time(5), dt.UTC)
    )  # the evening before, in Phoenix
    (fresh,) = (c for c in small.build(LATER).checks if c.name == "freshness")
    assert fresh.passed


@pytest.mark.parametrize(
    ("until", "closed"),
    [
        (None, dt.date(2025, 1, 12)),
        ("2025-01-20 07:00", dt.date(2025, 1, 12)),
        ("2025-01-13 07:00", dt.date(2025, 1, 6)),
        ("2025-01-13 06:59", dt.date(2025, 1, 5)),
    ],
    ids=["not known", "long enough", "to the end of Sunday", "a minute less"],
)
def test_a_week_closes_when_the_data_reach_its_end(until: str | None, closed: dt.date) -> None:
    known = dt.datetime.fromisoformat(until).replace(tzinfo=dt.UTC) if until else None
    assert closed_until(MONDAY, 2, known, PHOENIX) == closed


def test_a_number_without_one_of_its_inputs_says_so(small: Tenant) -> None:
    """Pay lines forbidden to the app and declared optional: a margin without labour."""
    del small.rows["gross_pay_items"]
    read_until(
        small, dt.datetime.combine(MONDAY, dt.time(20), dt.UTC), "gross_pay_items", "receipts"
    )
    (told,) = (c for c in small.build(MONDAY).checks if c.name == "inputs_read")
    assert told.detail == (
        "tenant_id 1, kpi gpm, entity gross_pay_items; tenant_id 1, kpi warranty_pct, entity gross_pay_items"
    )
    shown = published.read(small.warehouse, zone=PHOENIX)
    assert "G.P.M is NOT complete: gross_pay_items were never read." in weekly_table(shown)
    assert "entity" in as_json(shown).split('"values"')[0]
    alone = published.read(small.warehouse, kpi="produced", zone=PHOENIX)
    assert "NOT complete" not in weekly_table(alone)


def test_only_the_purchases_that_a_setting_takes_are_inputs(small: Tenant) -> None:
    read_until(small, dt.datetime.combine(MONDAY, dt.time(20), dt.UTC), "receipts")
    small.build(MONDAY)
    assert small.query("SELECT * FROM st_kpi.missing_inputs") == []
    small.build(MONDAY, cost_source="receipts")
    missing = small.query("SELECT kpi, entity FROM st_kpi.missing_inputs ORDER BY kpi")
    assert [tuple(row.values()) for row in missing] == [
        ("gpm", "receipts"),
        ("warranty_pct", "receipts"),
    ]


def test_each_input_of_a_kpi_is_one_that_its_sql_reads() -> None:
    filled = {s.table: s for s in PROJECT.statements if s.table and not s.kpi}
    lines = {e.lines: e.name for e in REGISTRY.values() if e.lines}

    def inputs(statement: Statement) -> set[str]:
        below = {name for t in statement.reads if t in filled for name in inputs(filled[t])}
        names = {t.removeprefix("st_raw.") for t in statement.reads if t.startswith("st_raw.")}
        return below | {lines.get(name, name) for name in names}

    read_by = {s.kpi: inputs(s) for s in PROJECT.statements if s.kpi}
    needed = filled["st_kpi.kpi_inputs"].tree.find(exp.CTE)
    assert needed is not None
    listed = needed.find_all(exp.Select)
    pairs = [[word.this for word in select.find_all(exp.Literal)] for select in listed]
    named = {kpi: {e for k, e in pairs if k == kpi} for kpi in read_by}
    always = {"jobs", "business_units", "job_types"}
    assert {k for k in read_by if not named[k] <= read_by[k]} == set()
    # What no number of theirs depends on comes by way of the table of jobs.
    by_jobs = inputs(filled["st_dim.dim_jobs"])
    assert {k for k in read_by if read_by[k] - named[k] - always - by_jobs} == set()


def test_records_outside_of_the_history_are_said_with_the_numbers_they_touch(small: Tenant) -> None:
    """An open invoice, and one of a job whose work was in the week, both created before the first day loaded."""
    outside = {"tenant_id": 1, "entity": "invoices", "older": 2, "undated": 1}
    first = dt.datetime(2025, 1, 1, 7, tzinfo=dt.UTC)
    row = outside | {"first_loaded": first, "counted_at": first}
    small.warehouse.insert("st_ops.outside_history", [row])
    (told,) = (c for c in small.build(MONDAY).checks if c.name == "history_holds_all")
    assert told.detail == (
        "tenant_id 1, entity invoices, older 2, undated 1, first_loaded 2025-01-01,"
        " numbers collected, future_bookings, gpm, outstanding_ar, produced, warranty_pct"
    )


def test_with_the_history_that_later_numbers_need_they_are_right(small: Tenant) -> None:
    """The same tenant with its older records loaded: what was produced late, and what is still open."""
    old = {
        "business_unit_id": 2,
        "job_type_id": 21,
        "customer_id": 1,
        "created_on": "2024-11-05 18:00",
    }
    bill = {"business_unit_id": 2, "customer_id": 1, "created_on": "2024-11-05 18:00"}
    small.add(
        {
            "locations": [{"id": 2, "customer_id": 1}],
            "jobs": [
                old | {"id": 102, "job_status": "Completed", "completed_on": "2024-11-06 18:00"},
                old | {"id": 103, "job_status": "Scheduled", "first_appointment_id": 3},
            ],
            "appointments": [
                {"id": 3, "job_id": 103, "status": "Done", "start": "2025-01-09 16:00"}
            ],
            "invoices": [
                bill
                | {"id": 1002, "job_id": 102, "location_id": 2, "sub_total": 5000, "balance": 5000},
                bill
                | {"id": 1003, "job_id": 103, "location_id": 1, "sub_total": 7000, "balance": 0},
            ],
        }
    )
    small.build(MONDAY)
    assert small.weekly("produced")[WEEK, "East"]["value"] == 8000
    assert small.weekly("outstanding_ar")[MONDAY, "East"]["value"] == 5000 + 400
