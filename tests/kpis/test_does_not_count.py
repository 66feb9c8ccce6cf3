"""A unit of the role NONE and a job type of the family none: in no number, no rollup of their own, and their money is told."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.cli import render
from st_kpi.cli.render_weekly import as_json, weekly_table
from st_kpi.reporting import published
from st_kpi.reporting.diff import diff
from st_kpi.reporting.explain import explain, left_out
from tests.support.field import MONDAY, TYPES, UNITS, WEEK
from tests.support.raw_rows import Tenant

HEADER = "business_unit,rollup,role,valid_from,valid_to\n"
NO_EAST = HEADER + "East Sales,,NONE,,\nEast Production,,none,,\n"
NO_PRODUCTION = HEADER + "East Sales,East,SALES,,\nEast Production,,NONE,,\n"
NO_TYPES = "job_type,family\nRES-EXT,none\nEstimate,NONE\n"
UNIT = "of a unit that does not count"
JOB_OF_UNIT = f"its job is {UNIT}"
TYPE = "its job is of a type that does not count"
#: The KPIs of a week that are money, or money over money.
MONEY = ("total_booked", "closed_average_sale", "produced", "gpm", "warranty_pct", "collected")

#: Work ahead, sold and open and unapplied money, so that every KPI of tenant M has something to leave out.
MORE: dict[str, list[dict[str, Any]]] = {
    "jobs": [{"id": 102, "business_unit_id": 2, "job_type_id": 21, "customer_id": 1, "location_id": 1,
              "job_status": "Scheduled", "first_appointment_id": 2, "created_on": "2025-01-16 18:00"}],
    "appointments": [{"id": 2, "job_id": 102, "status": "Scheduled", "start": "2025-01-22 16:00"},
                     {"id": 3, "job_id": 201, "status": "Done", "start": "2025-01-08 16:00"}],
    "invoices": [{"id": 1002, "job_id": 102, "business_unit_id": 2, "location_id": 1, "sub_total": 80}],
    "payments": [{"id": 2, "date": "2025-01-09 18:00", "business_unit_id": 2, "customer_id": 1, "unapplied_amount": 30}],
    "credit_memos": [{"id": 1, "business_unit_id": 2, "customer_id": 1, "location_id": 1, "balance": 20}],
}  # fmt: skip
#: Another company beside, which counts as before.
WEST: dict[str, list[dict[str, Any]]] = {
    "business_units": [{"id": 3, "name": "West"}],
    "job_types": [{"id": 31, "name": "Visit and work"}],
    "customers": [{"id": 3}],
    "locations": [{"id": 3, "customer_id": 3}],
    "jobs": [{"id": 301, "business_unit_id": 3, "job_type_id": 31, "customer_id": 3, "location_id": 3,
              "job_status": "Completed", "first_appointment_id": 31, "created_on": "2025-01-06 18:00",
              "completed_on": "2025-01-08 22:00"}],
    "appointments": [{"id": 31, "job_id": 301, "status": "Done", "start": "2025-01-08 16:00"}],
    "invoices": [{"id": 3001, "job_id": 301, "business_unit_id": 3, "customer_id": 3, "location_id": 3,
                  "sub_total": 500, "balance": 500}],
    "estimates": [{"id": 31, "job_id": 301, "status_name": "Sold", "sold_on": "2025-01-08 18:00", "subtotal": 500}],
}  # fmt: skip
WITH_WEST = "West,West,BOTH,,\n"


@pytest.fixture
def whole(small: Tenant) -> Tenant:
    """Tenant M with something for every KPI, and a unit in the West that sells and produces."""
    for rows in (MORE, WEST):
        small.add(rows)
    small.map(UNITS + WITH_WEST, TYPES + "Visit and work,estimate\n")
    return small


def numbers(tenant: Tenant) -> dict[tuple[str, dt.date, str], tuple[Any, Any]]:
    rows = tenant.query("SELECT * FROM st_kpi.kpi_weekly")
    return {
        (r["kpi"], r["week_start"], r["rollup"]): (r["numerator"], r["denominator"]) for r in rows
    }


def rest(tenant: Tenant, kpi: str, day: dt.date = WEEK) -> dict[tuple[str, str], Decimal]:
    """What a KPI leaves out in the week of ``day``, by part and rule."""
    sums: dict[tuple[str, str], Decimal] = {}
    for row in left_out(tenant.warehouse, kpi, week=day).rows:
        sums[row.part, row.reason] = sums.get((row.part, row.reason), Decimal(0)) + row.amount
    return sums


@pytest.mark.parametrize(
    ("units", "types"),
    [
        pytest.param(NO_EAST + WITH_WEST, TYPES + "Visit and work,estimate\n", id="units"),
        pytest.param(UNITS + WITH_WEST, NO_TYPES + "Visit and work,estimate\n", id="job types"),
    ],
)
def test_it_leaves_every_number_and_no_other(whole: Tenant, units: str, types: str) -> None:
    whole.build(MONDAY)
    before = numbers(whole)
    kpis = {row["kpi"] for row in whole.query("SELECT kpi FROM st_ref.dim_kpis")}
    counting = {kpi for kpi, _, rollup in before if rollup == "East"}
    assert counting == kpis
    whole.map(units, types)
    whole.build(MONDAY, run_id="two")
    after = numbers(whole)
    if "none" in types:  # what names no job is not known to be of a type
        assert {k[0] for k in after if k[2] not in ("West", "(unassigned)")} <= {"outstanding_ar"}
        after = {key: value for key, value in after.items() if key[2] == "West"}
    assert after == {key: value for key, value in before.items() if key[2] == "West"}


def test_it_makes_no_rollup_and_is_not_unmapped(whole: Tenant) -> None:
    whole.map(NO_EAST + WITH_WEST)
    result = whole.build(MONDAY)
    broken = {c.name for c in result.checks if not c.passed}
    assert not broken & {"unmapped_units", "money_accounted", "rollups_add_up", "money_without_place", "contributions_units"}  # fmt: skip
    for table in ("kpi_daily", "kpi_weekly", "kpi_weekly_wide", "kpi_reported"):
        rows = whole.query(f"SELECT DISTINCT `rollup` FROM st_kpi.{table}")
        assert [row["rollup"] for row in rows] == ["West"], table
    assert published.read(whole.warehouse).rollups == ("West", "All")
    units = whole.query("SELECT * FROM st_ref.dim_business_units ORDER BY business_unit_id")
    assert [(u["role"], u["rollup"]) for u in units] == [("NONE", None), ("NONE", None), ("BOTH", "West")]  # fmt: skip


def test_the_money_of_a_unit_is_left_out_by_name(whole: Tenant) -> None:
    whole.map(NO_EAST + WITH_WEST)
    whole.build(MONDAY)
    assert {kpi: rest(whole, kpi) for kpi in MONEY} == {
        "total_booked": {("value", UNIT): 5000},
        "closed_average_sale": {("numerator", UNIT): 5000},
        "produced": {("value", JOB_OF_UNIT): 1000},
        "gpm": {("numerator", JOB_OF_UNIT): 800, ("denominator", JOB_OF_UNIT): 1000},
        "warranty_pct": {("denominator", JOB_OF_UNIT): 1000},
        "collected": {("value", UNIT): 630},
    }
    assert rest(whole, "outstanding_ar", MONDAY) == {("value", UNIT): 400 - 20 - 30}
    assert rest(whole, "future_bookings", MONDAY) == {("value", JOB_OF_UNIT): 80}


def test_the_money_of_a_type_is_left_out_by_name(whole: Tenant) -> None:
    whole.map(types=NO_TYPES + "Visit and work,estimate\n")
    whole.build(MONDAY)
    assert {kpi: rest(whole, kpi) for kpi in MONEY} == {
        "total_booked": {("value", TYPE): 5000},
        "closed_average_sale": {("numerator", TYPE): 5000},
        "produced": {("value", TYPE): 1000},
        "gpm": {("numerator", TYPE): 800, ("denominator", TYPE): 1000},
        "warranty_pct": {("denominator", TYPE): 1000},
        "collected": {("value", TYPE): 600},
    }
    assert rest(whole, "outstanding_ar", MONDAY)["value", TYPE] == 400
    assert rest(whole, "future_bookings", MONDAY) == {("value", TYPE): 80}


def test_a_unit_stops_counting_on_a_day(small: Tenant) -> None:
    small.add({"invoices": [{"id": 1002, "job_id": 102, "business_unit_id": 2, "sub_total": 80}]})
    job = {"business_unit_id": 2, "job_type_id": 21, "job_status": "Completed"}
    small.add({"jobs": [job | {"id": 102, "completed_on": "2025-01-09 18:00"}]})
    small.map(HEADER + "1,East,SALES,,\n2,East,PRODUCTION,,1/8/2025\n2,,NONE,1/9/2025,\n")
    small.build(MONDAY)
    assert small.weekly("produced")[WEEK, "East"]["value"] == 1000
    assert rest(small, "produced") == {("value", JOB_OF_UNIT): 80}
    assert rest(small, "collected") == {("value", UNIT): 600}


def test_totals_say_what_does_not_count(small: Tenant) -> None:
    small.build(MONDAY)
    assert "does not count" not in weekly_table(published.read(small.warehouse))
    small.map(NO_PRODUCTION)
    small.build(MONDAY, run_id="two")
    shown = published.read(small.warehouse)
    sentence = (
        "Left out, as of a unit or job type that does not count: $ Produced 1,000.00, G.P.M 800.00 / 1,000.00,"
        " $ Collected 600.00, Warranty % 1,000.00, Outstanding A/R 400.00."
        " `st-kpi explain KPI --week DAY --left-out` lists it."
    )
    assert sentence in weekly_table(shown).splitlines()
    assert json.loads(as_json(published.read(small.warehouse, kpi="gpm")))["does_not_count"] == [
        {"kpi": "gpm", "part": "denominator", "week_start": "2025-01-06", "amount": "1000"},
        {"kpi": "gpm", "part": "numerator", "week_start": "2025-01-06", "amount": "800"},
    ]  # fmt: skip
    east = published.read(small.warehouse, rollup="East")
    assert "does not count" not in weekly_table(east)  # East has no unit of the role NONE
    listed = render.left_out_table(left_out(small.warehouse, "produced", week=WEEK))
    assert JOB_OF_UNIT in listed
    assert "0 counted, 1,000 left out, 1,000 in all" in listed


def test_a_mapping_to_none_and_back_is_told_as_one_of_the_mapping(whole: Tenant) -> None:
    whole.build(MONDAY)
    states = [numbers(whole)]
    for run, units in enumerate((NO_EAST, UNITS), 2):
        whole.map(units + WITH_WEST)
        whole.build(MONDAY, run_id=str(run))
        states.append(numbers(whole))
        changes = diff(whole.warehouse).changes
        assert {c.rollup for c in changes} == {"East", "(unassigned)"}
        assert {x.cause for c in changes for x in c.causes} == {"remapped"}
    assert any(key[2] == "East" for key in states[0])
    assert not any(key[2] == "East" for key in states[1])
    assert states[2] == states[0]


def test_older_days_of_a_snapshot_lose_the_unit_too(whole: Tenant) -> None:
    whole.build(MONDAY)
    older = numbers(whole)["outstanding_ar", MONDAY, "East"]
    assert older[0] == 400 - 20 - 30
    later = MONDAY + dt.timedelta(days=7)
    whole.build(later, run_id="two")
    whole.map(NO_EAST + WITH_WEST)
    result = whole.build(later, run_id="three")
    assert all(c.passed for c in result.checks if c.name in ("rollups_add_up", "money_accounted"))
    assert not [k for k in numbers(whole) if k[0] == "outstanding_ar" and k[2] != "West"]
    of_older = [c for c in diff(whole.warehouse, kpi="outstanding_ar").changes if c.week_start == MONDAY]  # fmt: skip
    assert [(c.rollup, c.change, {x.cause for x in c.causes}) for c in of_older] == [
        ("East", -350, {"remapped"})
    ]
    assert explain(whole.warehouse, "outstanding_ar", week=MONDAY, rollup="(unassigned)").rows == ()


def test_a_unit_that_stops_counting_between_two_snapshot_days_is_remapped(whole: Tenant) -> None:
    whole.map(HEADER + f"1,East,SALES,,\n2,East,PRODUCTION,,{MONDAY}\n2,,NONE,2025-01-21,\n" + WITH_WEST)  # fmt: skip
    whole.build(MONDAY)
    whole.build(MONDAY + dt.timedelta(days=1), run_id="two")
    changes = diff(whole.warehouse, kpi="future_bookings").changes
    assert [(c.rollup, c.change, [x.cause for x in c.causes]) for c in changes] == [
        ("East", -80, ["remapped"])
    ]
