"""All money of the source is counted, or left out by a rule that has a name: per KPI and week, and said."""

import datetime as dt
import shutil
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.errors import CheckFailed, ConfigurationError
from st_kpi.kpis.build import BuildResult
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.statements import default_root
from st_kpi.reporting import published
from st_kpi.reporting.alternatives import beside
from st_kpi.reporting.explain import explain, left_out
from tests.support.field import MONDAY, UNITS, WEEK
from tests.support.raw_rows import Tenant

#: A project that is billed and sold as a whole, with one job that has the labour.
PROJECT: dict[str, list[dict[str, Any]]] = {
    "jobs": [{"id": 102, "job_number": "102", "business_unit_id": 2, "job_type_id": 21, "project_id": 9,
              "job_status": "Completed", "created_on": "2025-01-06 18:00", "completed_on": "2025-01-08 22:00"}],
    "invoices": [{"id": 2001, "project_id": 9, "business_unit_id": 2, "sub_total": 30000}],
    "estimates": [{"id": 2, "project_id": 9, "business_unit_id": 1, "status_name": "Sold",
                   "sold_on": "2025-01-08 18:00", "subtotal": 30000}],
    "gross_pay_items": [{"job_id": 102, "gross_pay_item_type": "TimesheetTime", "amount": 18000}],
}  # fmt: skip


def rest(tenant: Tenant, kpi: str, day: dt.date = WEEK) -> dict[tuple[str, str], Decimal]:
    """What a KPI leaves out in the week of ``day``, by part and rule."""
    sums: dict[tuple[str, str], Decimal] = {}
    for row in left_out(tenant.warehouse, kpi, week=day).rows:
        sums[row.part, row.reason] = sums.get((row.part, row.reason), Decimal(0)) + row.amount
    return sums


def detail(result: BuildResult, name: str) -> str:
    (check,) = (c for c in result.checks if c.name == name)
    return check.detail


def test_money_of_a_project_without_a_job_is_left_out_and_said(small: Tenant) -> None:
    small.add(PROJECT)
    result = small.build(MONDAY)
    gpm = small.weekly("gpm")[WEEK, "East"]
    assert (gpm["numerator"], gpm["denominator"]) == (-17200, 1000)  # -1,720 %
    assert rest(small, "produced") == {("value", "without a job, for a project"): 30000}
    assert rest(small, "total_booked") == {("value", "without a job, for a project"): 30000}
    assert rest(small, "gpm") == {
        ("denominator", "without a job, for a project"): 30000,
        ("numerator", "without a job, for a project"): 30000,
    }
    said = detail(result, "money_without_place").split("; ")
    assert said[:3] == [
        f"tenant_id 1, kpi {kpi}, week_start {WEEK}, source_entity {entity}, rule without a job, for a project,"
        " amount 30,000.00"
        for kpi, entity in (("closed_average_sale", "estimates"), ("gpm", "invoices"), ("produced", "invoices"))
    ]  # fmt: skip


def test_money_of_a_project_counts_where_the_setting_says_so(small: Tenant) -> None:
    small.add(PROJECT)
    lines = {
        "gross_pay_items": [{"project_id": 9, "gross_pay_item_type": "CustomBonus", "amount": 100}],
        "purchase_orders": [{"id": 1, "project_id": 9, "status": "Sent", "total": 50}],
        "returns": [{"id": 1, "project_id": 9, "status": "Open", "return_amount": 20}],
    }
    small.add(lines)
    result = small.build(MONDAY, project_money="counted")
    assert small.weekly("produced")[WEEK, "East"]["value"] == 31000
    gpm = small.weekly("gpm")[WEEK, "East"]
    assert (gpm["numerator"], gpm["denominator"]) == (31000 - 200 - 18000 - 100 - 50 + 20, 31000)
    assert small.weekly("total_booked")[WEEK, "East"]["value"] == 35000
    assert {kpi: rest(small, kpi) for kpi in ("produced", "gpm", "total_booked")} == {
        "produced": {},
        "gpm": {},
        "total_booked": {},
    }
    # An opportunity is a job.
    assert rest(small, "closed_average_sale") == {
        ("numerator", "without a job, for a project"): 30000
    }
    assert "kpi gpm" not in detail(result, "money_without_place")
    (row,) = (
        r for r in explain(small.warehouse, "produced", week=WEEK).rows if r.source_id == 2001
    )
    assert row.job_number == "102"


def test_the_unit_of_a_sale_that_no_list_has_is_mapped_by_its_id(small: Tenant) -> None:
    small.add({"estimates": [PROJECT["estimates"][0] | {"business_unit_id": 77}]})
    small.map(UNITS + "77,West,SALES,,\n")
    small.build(MONDAY, project_money="counted")
    assert small.weekly("total_booked")[WEEK, "West"]["value"] == 30000


def test_a_project_without_a_job_of_its_own_is_left_out_still(small: Tenant) -> None:
    invoice = {"id": 2001, "project_id": 8, "sub_total": 70, "invoice_date": "2025-01-08 00:00"}
    small.add({"invoices": [invoice]})
    small.build(MONDAY, project_money="counted")
    assert rest(small, "produced") == {("value", "without a job, for a project"): 70}


def test_a_wrong_value_of_the_setting_is_refused(small: Tenant) -> None:
    with pytest.raises(ConfigurationError, match="project_money 'yes' is not one of left_out"):
        small.build(MONDAY, project_money="yes")


def test_money_of_a_job_without_a_unit_is_said(small: Tenant) -> None:
    small.add(
        {
            "jobs": [{"id": 301, "job_type_id": 21, "created_on": "2025-01-08 18:00"}],
            "invoices": [{"id": 3001, "job_id": 301, "sub_total": 10000, "balance": 10000}],
        }
    )
    result = small.build(MONDAY)
    assert rest(small, "produced") == {("value", "without a business unit"): 10000}
    assert "kpi produced, week_start 2025-01-06, source_entity invoices, rule without a business unit, amount 10,000.00" in detail(
        result, "money_without_place"
    )  # fmt: skip
    assert rest(small, "outstanding_ar", MONDAY) == {("value", "without a business unit"): 10000}


JOB = {"business_unit_id": 2, "job_type_id": 21, "job_status": "Completed", "completed_on": "2025-01-08 18:00"}  # fmt: skip
SALE = {"id": 9, "status_name": "Sold", "sold_on": "2025-01-08 18:00", "subtotal": 7}
DATED = {"created_on": "2025-01-08 18:00"}
INVOICE = {"id": 9, "sub_total": 7, "invoice_date": "2025-01-08 00:00"}
PAY = {"gross_pay_item_type": "TimesheetTime", "amount": 7, "date": "2025-01-08 00:00"}
PAYMENT = {"id": 9, "date": "2025-01-08 18:00"}
LINE = {"payment_id": 9, "line": 1, "id": 9, "applied_amount": 7}

RULES: list[tuple[str, str, dict[str, list[dict[str, Any]]], Decimal | int]] = [
    ("produced", "inactive", {"invoices": [INVOICE | {"job_id": 101, "active": False}]}, 7),
    ("produced", "without a job", {"invoices": [INVOICE]}, 7),
    ("produced", "without a job", {"invoices": [INVOICE | {"job_id": 0}]}, 7),
    ("produced", "without a known job", {"invoices": [INVOICE | {"job_id": 999}]}, 7),
    ("produced", "its job is inactive", {"jobs": [JOB | {"id": 9, "active": False}], "invoices": [INVOICE | {"job_id": 9}]}, 7),
    ("produced", "its job is of a SALES unit", {"invoices": [INVOICE | {"job_id": 201}]}, 7),
    ("produced", "without a day", {"jobs": [JOB | {"id": 9, "completed_on": None}], "invoices": [INVOICE | {"job_id": 9}]}, 7),
    ("gpm", "without a job", {"gross_pay_items": [PAY]}, -7),
    ("gpm", "inactive", {"gross_pay_items": [PAY | {"job_id": 101, "active": False}]}, -7),
    ("gpm", "pay that is no cost of a job", {"gross_pay_items": [PAY | {"job_id": 101, "gross_pay_item_type": "Salary"}]}, -7),
    ("gpm", "its job is of a SALES unit", {"gross_pay_items": [PAY | {"job_id": 201}]}, -7),
    ("gpm", "item that is no cost of a job", {"invoice_items": [{"id": 9, "invoice_id": 1001, "type": "Service", "total_cost": 7}]}, -7),
    ("gpm", "canceled", {"purchase_orders": [DATED | {"id": 9, "job_id": 101, "status": "Canceled", "total": 7}]}, -7),
    ("gpm", "without a job", {"inventory_bills": [DATED | {"id": 9, "bill_amount": 7}]}, -7),
    ("gpm", "canceled", {"returns": [DATED | {"id": 9, "job_id": 101, "status": "Canceled", "return_amount": 7}]}, 7),
    ("total_booked", "inactive", {"estimates": [SALE | {"job_id": 201, "active": False}]}, 7),
    ("total_booked", "without a job", {"estimates": [SALE]}, 7),
    ("total_booked", "without a known job", {"estimates": [SALE | {"job_id": 999}]}, 7),
    ("total_booked", "without a day", {"estimates": [SALE | DATED | {"job_id": 201, "sold_on": "0001-01-01 00:00"}]}, 7),
    ("total_booked", "of a PRODUCTION unit", {"estimates": [SALE | {"job_id": 101}]}, 7),
    ("closed_average_sale", "its job is without charge",
     {"jobs": [JOB | {"id": 9, "business_unit_id": 1, "no_charge": True}], "estimates": [SALE | {"job_id": 9}]}, 7),
    ("collected", "inactive", {"payments": [PAYMENT | {"active": False, "unapplied_amount": 7}]}, 7),
    ("collected", "without a day", {"payments": [{"id": 9, "unapplied_amount": 7} | DATED]}, 7),
    ("collected", "its invoice is of a SALES unit",
     {"invoices": [{"id": 9, "business_unit_id": 1}], "payments": [PAYMENT], "payment_applications": [LINE | {"applied_to": 9}]}, 7),
]  # fmt: skip


@pytest.mark.parametrize(("kpi", "rule", "rows", "amount"), RULES, ids=[f"{k}: {r} {n}" for n, (k, r, _, _) in enumerate(RULES)])  # fmt: skip
def test_each_rule_by_its_name(
    small: Tenant, kpi: str, rule: str, rows: dict[str, Any], amount: int
) -> None:
    small.add(rows)
    small.build(MONDAY)
    parts = {("value" if kpi in ("produced", "total_booked", "collected") else "numerator", rule)}
    assert rest(small, kpi) == dict.fromkeys(parts, Decimal(amount))


def test_an_order_that_its_bill_replaces_is_left_out(small: Tenant) -> None:
    order = {"id": 9, "job_id": 101, "status": "Sent", "total": 120}
    small.add({"purchase_orders": [order], "inventory_bills": [{"id": 9, "purchase_order_id": 9, "bill_amount": 130}]})  # fmt: skip
    small.build(MONDAY)
    assert rest(small, "gpm") == {("numerator", "replaced by its bill"): -120}
    small.build(MONDAY, cost_source="purchase_orders")
    assert rest(small, "gpm") == {}


def test_families_that_a_setting_excludes_are_left_out_by_its_name(small: Tenant) -> None:
    small.build(MONDAY, produced_excludes=["production"])
    assert rest(small, "produced") == {("value", "its job family is in produced_excludes"): 1000}
    assert rest(small, "gpm")["numerator", "its job family is in produced_excludes"] == 800


def test_what_a_snapshot_leaves_out(small: Tenant) -> None:
    later = {"job_type_id": 21, "business_unit_id": 2, "job_status": "Scheduled"}
    small.add(
        {
            "jobs": [later | {"id": 401}, later | {"id": 402, "job_status": "Canceled"}],
            "appointments": [{"id": 4, "job_id": 401, "start": "2025-02-03 18:00"}, {"id": 5, "job_id": 402, "start": "2025-02-03 18:00"}],
            "locations": [{"id": 2, "customer_id": 2}],
            "invoices": [
                {"id": 4001, "job_id": 401, "business_unit_id": 2, "location_id": 1, "sub_total": 80, "balance": 80},
                {"id": 4002, "job_id": 402, "business_unit_id": 2, "sub_total": 90},
                {"id": 4003, "business_unit_id": 2, "location_id": 2, "balance": 9},
                {"id": 4004, "business_unit_id": 1, "location_id": 2, "balance": 30},
            ],
            "payments": [{"id": 4, "customer_id": 2, "unapplied_amount": 1, "date": "2025-01-09 18:00", "active": False}],
            "credit_memos": [{"id": 4, "customer_id": 5, "balance": 6}],
        }
    )  # fmt: skip
    small.build(MONDAY)
    assert rest(small, "future_bookings", MONDAY) == {("value", "its job is canceled"): 90}
    assert rest(small, "outstanding_ar", MONDAY) == {
        ("value", "its job has not started"): 80,
        ("value", "its location owes less than ar_minimum"): 9,
        ("value", "of a SALES unit"): 30,
        ("value", "inactive"): -1,
        ("value", "without a location"): -6,
    }
    small.build(MONDAY + dt.timedelta(1), run_id="two")
    with pytest.raises(
        ConfigurationError, match="for its last day alone: ask for --day 2025-01-21"
    ):
        left_out(small.warehouse, "outstanding_ar", week=MONDAY, day=MONDAY)
    assert len(left_out(small.warehouse, "outstanding_ar", week=MONDAY).rows) == 5


def test_of_an_average_only_the_money_is_told(small: Tenant) -> None:
    small.build(MONDAY)
    assert left_out(small.warehouse, "closed_average_sale", week=WEEK).counted == {
        "numerator": 5000
    }


def test_in_a_rollup_and_beside_all(small: Tenant) -> None:
    small.add({"invoices": [INVOICE, INVOICE | {"id": 10, "job_id": 201}]})
    small.add({"payments": [PAYMENT | {"unapplied_amount": 7}]})
    small.build(MONDAY)
    found = left_out(small.warehouse, "produced", week=WEEK)
    assert (len(found.rows), found.counted) == (2, {"value": 1000})
    assert [
        r.source_id for r in left_out(small.warehouse, "produced", week=WEEK, rollup="east").rows
    ] == [10]
    money = left_out(small.warehouse, "collected", week=WEEK)
    assert (money.counted, money.unassigned, money.rows) == ({"value": 600}, {"value": 7}, ())
    with pytest.raises(ConfigurationError, match="Leads counts no money"):
        left_out(small.warehouse, "leads", week=WEEK)


def test_money_that_no_rule_leaves_out_refuses_the_build(small: Tenant) -> None:
    """A join that drops rows, such as somebody may write one day."""
    small.sql_root = shutil.copytree(default_root(), small.folder / "sql")
    file = small.sql_root / "kpis/produced/contributions.sql"
    file.write_text(file.read_text(encoding="utf-8") + "WHERE invoice.location_id IS NOT NULL\n", encoding="utf-8")  # fmt: skip
    small.build(MONDAY)
    small.edit({"invoices": [{"id": 1001, "location_id": None}]})
    with pytest.raises(CheckFailed, match=r"money_accounted failed on 1 row .*kpi produced.*unaccounted 1,000.00"):  # fmt: skip
        small.build(MONDAY)


def test_the_sum_holds_while_rows_change(worked_weeks: Tenant) -> None:
    for as_of in (dt.date(2025, 1, 12), dt.date(2025, 1, 14), dt.date(2025, 1, 13)):
        worked_weeks.edit(
            {"invoices": [{"id": 1001, "sub_total": as_of.day, "balance": as_of.day}]}
        )
        result = worked_weeks.build(as_of)
        assert not detail(result, "money_accounted")
        assert result.measured == (as_of.day != 13)


def test_the_jobs_own_word_on_charge_comes_first(small: Tenant) -> None:
    small.edit({"job_types": [{"id": 11, "no_charge": True}]})
    small.build(MONDAY)
    assert (WEEK, "East") not in small.weekly("success_rate")
    small.edit({"jobs": [{"id": 201, "no_charge": False}]})
    small.build(MONDAY)
    assert small.weekly("success_rate")[WEEK, "East"]["value"] == 1


def test_a_free_visit_that_was_sold_is_an_alternative_and_said(small: Tenant) -> None:
    small.edit({"jobs": [{"id": 201, "no_charge": True}]})
    result = small.build(MONDAY)
    assert small.weekly("total_booked")[WEEK, "East"]["value"] == 5000
    assert (WEEK, "East") not in small.weekly("success_rate")
    assert (
        detail(result, "success_rate/sold_free_of_charge")
        == "tenant_id 1, sold_free_of_charge 1, sold 1"
    )
    shown = published.read(small.warehouse, kpi="success_rate")
    both = beside(small.warehouse, shown, inspect(), small.settings())
    free = both.cells["success_rate/with_sold_free", WEEK, "East"]
    assert (free.numerator, free.denominator) == (1, 1)
