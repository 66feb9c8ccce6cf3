"""Why numbers changed: every changed value, with causes that add up to its change."""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.cli.render import diff_csv, diff_json, diff_table
from st_kpi.errors import ConfigurationError, NothingLoaded
from st_kpi.kpis.build_log import builds
from st_kpi.reporting.diff import Change, diff
from tests.support.history import contributions_at

pytestmark = pytest.mark.long

TUESDAY = dt.date(2025, 1, 14)
WEDNESDAY = dt.date(2025, 1, 15)
WEEK = dt.date(2025, 1, 6)
NEXT = dt.date(2025, 1, 13)

CausesByCell = Mapping[tuple[dt.date, str, str], Mapping[str, int]]


def causes_by_cell(
    changes: tuple[Change, ...], kpi: str
) -> dict[tuple[dt.date, str, str], dict[str, int]]:
    return {
        (c.week_start, c.rollup, c.part): {x.cause: int(x.amount) for x in c.causes}
        for c in changes
        if c.kpi.name == kpi
    }


def weekly(tenant: Any) -> dict[tuple[Any, ...], Decimal]:
    rows = tenant.query(
        "SELECT cell.kpi, week_start, `rollup`, kind, numerator, denominator"
        " FROM st_kpi.kpi_weekly AS cell JOIN st_ref.dim_kpis AS kpi ON kpi.kpi = cell.kpi"
    )
    values = {}
    for r in rows:
        ratio = r["kind"] == "ratio"
        cell = (r["kpi"], r["week_start"], r["rollup"])
        values[(*cell, "numerator" if ratio else "value")] = r["numerator"]
        if ratio:
            values[(*cell, "denominator")] = r["denominator"]
    return values


def edit(table: str, **row: Any) -> Callable[[Any], None]:
    return lambda tenant: tenant.edit({table: [row]})


def add(table: str, **row: Any) -> Callable[[Any], None]:
    return lambda tenant: tenant.add({table: [row]})


def edit_pay(tenant: Any, job_id: int, amount: int) -> None:
    (line,) = [row for row in tenant.rows["gross_pay_items"] if row["job_id"] == job_id]
    line["amount"] = amount


def remove(table: str, id: int) -> Callable[[Any], None]:
    def removed(tenant: Any) -> None:
        tenant.rows[table] = [row for row in tenant.rows[table] if row["id"] != id]

    return removed


def units(text: str) -> Callable[[Any], None]:
    return lambda tenant: tenant.map(units="business_unit,rollup,role,valid_from,valid_to\n" + text)


FOLDED = "1,One,SALES,,\n2,East,PRODUCTION,,\n3,One,SALES,,\n4,West,PRODUCTION,,\n"
NO_WEST = "1,East,SALES,,\n2,East,PRODUCTION,,\n4,West,PRODUCTION,,\n"

CASES: dict[str, tuple[Callable[[Any], None], str, CausesByCell]] = {
    "an invoice of last week arrives late": (
        add("invoices", id=9001, job_id=101, business_unit_id=2, sub_total=100),
        "produced",
        {(WEEK, "East", "value"): {"arrived late": 100}},
    ),
    "a lead of today is new": (
        add(
            "jobs",
            id=900,
            customer_id=1,
            business_unit_id=1,
            job_type_id=11,
            job_status="Scheduled",
            created_on="2025-01-14 18:00",
        ),
        "leads",
        {(NEXT, "East", "value"): {"new": 1}},
    ),
    "an invoice is edited": (
        edit("invoices", id=1001, sub_total=1100),
        "produced",
        {(WEEK, "East", "value"): {"amount edited": 100}},
    ),
    "a job known before is completed": (
        edit("jobs", id=2, job_status="Completed", completed_on="2025-01-09 18:00"),
        "estimates",
        {(WEEK, "East", "value"): {"status moved": 1}},
    ),
    "an appointment moves to the next week": (
        edit("appointments", id=1021, start="2025-01-15 16:00"),
        "produced",
        {
            (WEEK, "East", "value"): {"re-dated": -3000},
            (NEXT, "East", "value"): {"re-dated": 3000},
        },
    ),
    "a job moves to another unit": (
        edit("jobs", id=104, business_unit_id=4),
        "produced",
        {
            (WEEK, "East", "value"): {"business unit moved": -500},
            (WEEK, "West", "value"): {"business unit moved": 500},
        },
    ),
    "an invoice turns inactive": (
        edit("invoices", id=1004, active=False),
        "produced",
        {(WEEK, "East", "value"): {"became inactive or deleted": -500}},
    ),
    "an invoice is deleted": (
        remove("invoices", 1004),
        "produced",
        {(WEEK, "East", "value"): {"became inactive or deleted": -500}},
    ),
    "the job of an invoice turns inactive": (
        edit("jobs", id=104, active=False),
        "produced",
        {(WEEK, "East", "value"): {"became inactive or deleted": -500}},
    ),
    "a payment turns inactive with its lines": (
        edit("payments", id=1, active=False),
        "collected",
        {
            (WEEK, "East", "value"): {"became inactive or deleted": -600},
            (WEEK, "West", "value"): {"became inactive or deleted": -400},
        },
    ),
    "units are folded into a new rollup": (
        units(FOLDED),
        "leads",
        {
            (WEEK, "East", "value"): {"remapped": -5},
            (WEEK, "West", "value"): {"remapped": -1},
            (WEEK, "One", "value"): {"remapped": 6},
            (dt.date(2024, 12, 16), "East", "value"): {"remapped": -1},
            (dt.date(2024, 12, 16), "One", "value"): {"remapped": 1},
            (dt.date(2024, 7, 8), "East", "value"): {"remapped": -1},
            (dt.date(2024, 7, 8), "One", "value"): {"remapped": 1},
            (dt.date(2024, 12, 30), "East", "value"): {"remapped": -1},
            (dt.date(2024, 12, 30), "One", "value"): {"remapped": 1},
        },
    ),
    "a unit leaves the mapping": (
        units(NO_WEST),
        "leads",
        {(WEEK, "West", "value"): {"unmapped": -1}},
    ),
    "a job type gets another family": (
        lambda tenant: tenant.map(types="job_type,family\n13,other\n31,warranty\n32,warranty\n"),
        "leads",
        {(WEEK, "East", "value"): {"remapped": -1}},
    ),
    "the bill of an order arrives late": (
        add("inventory_bills", id=3, purchase_order_id=3, job_id=102, bill_amount=310),
        "gpm",
        {(WEEK, "East", "numerator"): {"arrived late": -10}},
    ),
    "a bill arrives late and a pay line of the same job is edited": (
        lambda tenant: (
            tenant.add(
                {
                    "inventory_bills": [
                        {"id": 3, "purchase_order_id": 3, "job_id": 102, "bill_amount": 310}
                    ]
                }
            ),
            edit_pay(tenant, 102, 1250),
        ),
        "gpm",
        {(WEEK, "East", "numerator"): {"arrived late": -10, "amount edited": -100}},
    ),
    "a late row and an edited one in the same cell": (
        lambda tenant: (
            tenant.add(
                {"invoices": [{"id": 9001, "job_id": 101, "business_unit_id": 2, "sub_total": 70}]}
            ),
            tenant.edit({"invoices": [{"id": 1001, "sub_total": 1030}]}),
        ),
        "produced",
        {(WEEK, "East", "value"): {"amount edited": 30, "arrived late": 70}},
    ),
    "a row is re-dated and edited at once": (
        lambda tenant: tenant.edit(
            {
                "appointments": [{"id": 1021, "start": "2025-01-15 16:00"}],
                "invoices": [{"id": 1003, "sub_total": 3100}],
            }
        ),
        "produced",
        {
            (WEEK, "East", "value"): {"re-dated": -3000},
            (NEXT, "East", "value"): {"re-dated": 3000, "amount edited": 100},
        },
    ),
    "changes that cancel out change nothing": (
        lambda tenant: tenant.edit(
            {"invoices": [{"id": 1001, "sub_total": 1100}, {"id": 1003, "sub_total": 2900}]}
        ),
        "produced",
        {},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_causes(built: Any, case: tuple[Callable[[Any], None], str, CausesByCell]) -> None:
    make, kpi, expected = case
    before = weekly(built)
    make(built)
    built.build(WEDNESDAY, run_id="two")
    changes = diff(built.warehouse).changes
    assert causes_by_cell(changes, kpi) == expected
    after = weekly(built)
    changed = {
        key
        for key in before.keys() | after.keys()
        if before.get(key, Decimal(0)) != after.get(key, Decimal(0))
    }
    cells = {(c.kpi.name, c.week_start, c.rollup, c.part): c for c in changes}
    assert cells.keys() == changed
    for key, change in cells.items():
        assert change.before == before.get(key, Decimal(0))
        assert change.after == after.get(key, Decimal(0))
        assert sum(c.amount for c in change.causes) == change.change
        assert "not explained" not in {c.cause for c in change.causes}


def test_a_changed_setting_is_a_changed_definition(built: Any) -> None:
    built.build(WEDNESDAY, run_id="two", produced_excludes=["excluded"])
    changes = diff(built.warehouse).changes
    assert causes_by_cell(changes, "produced") == {
        (WEEK, "East", "value"): {"definition changed": -200}
    }
    assert not causes_by_cell(changes, "leads")


def test_the_newest_row_that_was_met_stays_known_while_its_table_does_not_change(
    built: Any,
) -> None:
    built.edit({"invoices": [{"id": 1001, "_loaded_at": "2025-01-14 10:00"}]})
    built.build(WEDNESDAY, run_id="two")
    built.edit({"jobs": [{"id": 1, "_loaded_at": "2025-01-14 09:00"}]})
    built.build(WEDNESDAY, run_id="three")
    built.build(WEDNESDAY, run_id="four")
    rows = built.warehouse.query("SELECT loaded_until FROM st_ops.builds WHERE build > 1")
    assert [row["loaded_until"] for row in rows] == [
        dt.datetime(2025, 1, 14, 10, tzinfo=dt.UTC)
    ] * 3


def test_what_was_edited_too_is_told_by_the_tenants_clock(built: Any) -> None:
    """Rows are read by the tenant's clock, months behind ours here; a build is made by ours."""
    built.edit({"invoices": [{"id": 1001, "_loaded_at": "2025-01-14 10:00"}]})
    built.build(WEDNESDAY, run_id="two")
    edited = {"id": 1004, "sub_total": 600, "_loaded_at": "2025-01-14 10:01"}
    built.edit({"invoices": [edited]})
    built.build(WEDNESDAY, run_id="three", produced_excludes=["excluded"])
    assert causes_by_cell(diff(built.warehouse).changes, "produced") == {
        (WEEK, "East", "value"): {"definition changed": -200, "amount edited": 100}
    }


def test_a_rollup_that_ends_between_two_snapshot_days_is_remapped(built: Any) -> None:
    built.edit({"appointments": [{"id": 1021, "start": "2025-01-20 16:00"}]})
    head = "1,East,SALES,,\n3,West,SALES,,\n4,West,PRODUCTION,,\n"
    split = head + "2,East,PRODUCTION,,2025-01-15\n2,New,PRODUCTION,2025-01-16,\n"
    units(split)(built)
    built.build(WEDNESDAY)
    built.build(dt.date(2025, 1, 16))
    changes = diff(built.warehouse, kpi="future_bookings").changes
    assert causes_by_cell(changes, "future_bookings") == {
        (NEXT, "East", "value"): {"remapped": -3000},
        (NEXT, "New", "value"): {"remapped": 3000},
    }


def test_builds_that_are_not_neighbours_are_compared_too(built: Any) -> None:
    built.edit({"invoices": [{"id": 1001, "sub_total": 1100}]})
    built.build(TUESDAY, run_id="two")
    built.add(
        {"invoices": [{"id": 9001, "job_id": 101, "business_unit_id": 2, "sub_total": 5}]},
    )
    built.build(TUESDAY, run_id="three")
    built.edit({"invoices": [{"id": 1001, "sub_total": 1000}]})
    built.build(TUESDAY, run_id="four")
    (change,) = diff(built.warehouse, start="one", to="3", kpi="produced").changes
    assert (change.before, change.after) == (4900, 5005)
    assert [(c.cause, c.amount) for c in change.causes] == [
        ("amount edited", 100),
        ("arrived late", 5),
    ]
    (whole,) = diff(built.warehouse, start="one", kpi="produced").changes
    assert [(c.cause, c.amount) for c in whole.causes] == [("arrived late", 5)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"start": "nine"},
            r"no build 'nine'; the builds kept are: 1 \(run one, as of 2025-01-14\)",
        ),
        ({"start": "two", "to": "one"}, r"Build 2 .* came after build 1"),
        ({"kpi": "lead"}, r"no KPI 'lead'. The KPIs are: leads"),
    ],
    ids=["unknown run", "wrong order", "unknown KPI"],
)
def test_what_does_not_exist_names_what_does(
    built: Any, arguments: dict[str, str], reason: str
) -> None:
    built.build(WEDNESDAY, run_id="two")
    with pytest.raises(ConfigurationError, match=reason):
        diff(built.warehouse, **arguments)


def test_one_build_has_nothing_to_compare_with(built: Any) -> None:
    with pytest.raises(NothingLoaded, match="oldest one kept: there is nothing to compare it with"):
        diff(built.warehouse)


def test_before_any_build(tenant: Any) -> None:
    with pytest.raises(NothingLoaded, match="Nothing is built yet: run `st-kpi backfill`"):
        diff(tenant.warehouse)


def test_only_the_builds_kept_can_be_looked_back_on(built: Any) -> None:
    for number in range(2, 6):
        built.edit({"invoices": [{"id": 1001, "sub_total": 1000 + number}]})
        built.build(TUESDAY, run_id=f"run {number}", keep_builds=3)
    assert [b.number for b in builds(built.warehouse)] == [3, 4, 5]
    (change,) = diff(built.warehouse, start="3", kpi="produced").changes
    assert (change.before, change.after) == (4903, 4905)
    oldest = built.query("SELECT MIN(build) AS n FROM st_kpi.contribution_changes")
    assert oldest == [{"n": 4}]


def test_the_rows_of_every_build_kept_can_be_had_again(built: Any) -> None:
    states = {1: _rows(built, 1)}
    steps: list[Callable[[Any], None]] = [
        edit("invoices", id=1001, sub_total=1100),
        remove("invoices", 1004),
        edit("jobs", id=104, business_unit_id=4),
    ]
    for number, step in enumerate(steps, 2):
        step(built)
        built.build(TUESDAY + dt.timedelta(days=number // 2))
        states[number] = _rows(built, number)
    for number, rows in states.items():
        assert _rows(built, number) == rows


def _rows(tenant: Any, build: int) -> list[str]:
    return sorted(str(row) for row in tenant.query(contributions_at(build)))


def test_printed(built: Any) -> None:
    built.edit({"invoices": [{"id": 1001, "sub_total": "1100.50"}]})
    built.build(WEDNESDAY, run_id="two")
    differences = diff(built.warehouse, kpi="produced")
    table = diff_table(differences)
    assert "4,900" in table
    assert "+100.50" in table
    assert "amount edited" in table
    assert "between build 1 (as of 2025-01-14) and build 2" in table
    assert diff_csv(differences).splitlines()[1] == (
        "produced,2025-01-06,East,value,4900,5000.5,100.5,amount edited,100.5,1"
    )
    assert '"run_id": "two"' in diff_json(differences)
    assert "No weekly value changed" in diff_table(diff(built.warehouse, kpi="leads"))
