"""The rows of each report, by the worked examples of the KPI definitions."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from st_kpi.sandbox import Company, Faults
from st_kpi.sandbox.clock import ticks
from st_kpi.sandbox.company import (
    Application,
    CreditMemo,
    Invoice,
    Payment,
    PaymentType,
    Technician,
)
from st_kpi.sandbox.reports.catalogue import REPORTS
from st_kpi.sandbox.reports.desk import Reports
from st_kpi.sandbox.reports.shown import Writer
from st_kpi.sandbox.reports.table import Kind
from tests.sandbox.test_books import (
    AS_OF,
    CREW,
    SALES,
    WEST,
    at,
    blank,
    owed_company,
    production_company,
    sales_company,
)

WEEK = {"From": "2025-01-06", "To": "2025-01-12"}
BY_START = {**WEEK, "DateType": 7, "IncludeAdjustmentInvoices": True}


def shown(company: Company, name: str, *faults: str, **given: Any) -> list[dict[str, Any]]:
    """The rows of a report as a client reads them."""
    reports = Reports(company, 0, lambda: 0.0, Counter())
    reports.differences.plant(Faults.parse(faults))
    report = next(report for report in REPORTS if report.name == name)
    found = reports.run(report, given)
    names = [field.name for field in found.fields]
    return [
        dict(zip(names, reports.writer.row(row, found.fields), strict=True)) for row in found.rows
    ]


def test_a_job_has_its_revenue_and_each_part_of_its_cost() -> None:
    company = production_company()
    company.technicians = [Technician(5, 15, "Painter Sample", CREW, 0, 0, 0, 0)]
    company.gross_pay_items[0].employee_id = company.jobs[0].sold_by_id = 5
    company.gross_pay_items[2].kind = "CustomBonus"
    first, *others = shown(company, "Job Costing", **BY_START)
    assert first == {
        "ScheduledDate": "2025-01-06T00:00:00-07:00",
        "JobBusinessUnit": "East Production",
        "SoldBy": "Painter Sample",
        "PrimaryTechnician": "Painter Sample",
        "JobType": "RES-EXT",
        "CustomerName": None,
        "JobNumber": "1",
        "Subtotal": 800,
        "LaborPay": 250,
        "PayrollAdjustments": 50,
        "MaterialEquipmentPurchaseOrderCosts": 145,
        "ReturnCosts": -20,
        "TotalCosts": 425,
        "GrossMarginPercentage": 375 / 800,
        "JobStatus": "Completed",
    }
    assert [row["JobNumber"] for row in others] == ["2", "3", "4", "6", "7", "8"]
    undated = others[3]
    assert (undated["ScheduledDate"], undated["Subtotal"]) == (None, 400)


def test_costs_without_revenue_have_no_margin() -> None:
    warranty = shown(production_company(), "Job Costing", **BY_START)[5]
    assert (warranty["TotalCosts"], warranty["GrossMarginPercentage"]) == (150, 0)


def test_orders_alone_are_what_was_ordered_and_not_canceled() -> None:
    rows = shown(production_company(), "Job Costing", "report-orders-only", **BY_START)
    costs = [row["MaterialEquipmentPurchaseOrderCosts"] for row in rows]
    assert costs[:2] == [15 + 120, 300]
    assert not any(costs[2:])


@pytest.mark.parametrize("asked", [True, False])
def test_adjustments_are_taken_away_once(asked: bool) -> None:
    given = {**BY_START, "IncludeAdjustmentInvoices": asked}
    row = shown(production_company(), "Job Costing", "report-no-adjustments", **given)[0]
    assert row["Subtotal"] == 1000


def test_an_adjustment_takes_its_supplies_along() -> None:
    company = production_company()
    main, adjustment = company.invoices[:2]
    adjustment.items, main.items = main.items, ()
    within = shown(company, "Job Costing", **BY_START)[0]
    without = shown(company, "Job Costing", **{**BY_START, "IncludeAdjustmentInvoices": False})[0]
    supplies = "MaterialEquipmentPurchaseOrderCosts"
    assert (within["Subtotal"], within[supplies]) == (800, 145)
    assert (without["Subtotal"], without[supplies]) == (1000, 130)


def test_future_bookings_are_the_scheduled_ones() -> None:
    year = {**BY_START, "To": "2026-01-08"}
    rows = shown(production_company(), "Future Bookings", **year)
    assert {row["JobNumber"]: row["Subtotal"] for row in rows} == {
        "1": 800,
        "2": 3000,
        "4": 500,
        "7": 0,
    }


DATE_TYPES = {
    0: {"1"},  # by the day of the invoice
    1: {"1", "6"},  # by completion, and only what is completed
    7: {"1", "2", "3", "4", "6", "7", "8"},
    12: {"3"},
}


@pytest.mark.parametrize(("number", "jobs"), DATE_TYPES.items())
def test_a_date_type_dates_by_its_own_day(number: int, jobs: set[str]) -> None:
    company = production_company()
    company.jobs[0].completed = at("01-13 06:59")
    company.jobs[2].completed = at("01-08 18:00")  # canceled, and yet it has one
    company.jobs[2].created = at("01-06 07:00")
    company.invoices[0].day = at("01-12 00:00")
    company.invoices[1].day = at("01-20 00:00")
    rows = shown(company, "Job Costing", **{**WEEK, "DateType": number})
    assert {row["JobNumber"] for row in rows} == jobs


def test_leads_are_local_and_without_test_customers() -> None:
    rows = shown(sales_company(), "Leads", **WEEK)
    assert {row["JobNumber"]: row["CreatedDate"][:10] for row in rows} == {
        "1": "2025-01-06",
        "2": "2025-01-07",
        "3": "2025-01-09",
        "4": "2025-01-12",
        "9": "2025-01-07",
    }
    assert {row["JobStatus"] for row in rows} == {"Completed", "Scheduled", "Canceled"}


def test_sales_are_by_local_time_with_its_offset() -> None:
    rows = shown(sales_company(), "Sold Estimates", **WEEK)
    sold = {row["EstimateId"]: (row["SoldOn"], row["Subtotal"]) for row in rows}
    assert sold == {
        "1": ("2025-01-09T18:30:00-07:00", 5000),
        "2": ("2025-01-11T11:00:00-07:00", 700),
        "5": ("2025-01-08T11:00:00-07:00", 2000),
        "7": ("2025-01-12T23:59:00-07:00", 1500),
        "11": ("2025-01-08T11:00:00-07:00", 400),
    }
    units = {row["EstimateId"]: row["EstimateBusinessUnit"] for row in rows}
    assert units["11"] == "East Production"


def test_a_unit_has_its_sums_and_rates() -> None:
    company = sales_company()
    company.jobs[5].no_charge = True
    by_unit = {row["Name"]: row for row in shown(company, "Business Unit Sales", **WEEK)}
    assert by_unit["East Sales"] == {
        "Name": "East Sales",
        "TotalSales": 9200,
        "SalesOpportunities": 3,
        "ClosedOpportunities": 2,
        "CloseRate": 2 / 3,
        "ClosedAverageSale": 3600,
        "CompletedEstimates": 4,
    }
    assert by_unit["East Production"]["TotalSales"] == 400
    assert by_unit["East Production"]["ClosedAverageSale"] == 0


def test_each_line_of_a_payment_is_a_row_and_so_is_the_rest() -> None:
    company = blank()
    company.payment_types = [PaymentType(9, "Check", None, None)]
    company.invoices = [Invoice(n, 0, business_unit_id=n) for n in (SALES, CREW, WEST)]
    lines = (
        Application(1, CREW, 600_00),
        Application(2, WEST, -400_50),
        Application(3, 99, 7_00),
        Application(4, CREW, 600_00),
    )
    company.payments = [Payment(1, 0, at("01-12 00:00"), lines, 300_00, type_id=9)]
    rows = shown(company, "Collections", **WEEK)
    assert [tuple(row.values()) for row in rows] == [
        ("2025-01-12T00:00:00-07:00", number, unit, "Check", None, amount)
        for number, unit, amount in (
            ("2", "East Production", 600),
            ("3", "West Production", -400.5),
            ("99", None, 7),
            ("2", "East Production", 600),
            (None, None, 300),
        )
    ]
    assert shown(company, "Collections", **WEEK, BusinessUnitId=[WEST]) == rows[1:2]


def test_what_is_owed_and_held_at_each_place() -> None:
    company = owed_company()
    company.credit_memos.append(CreditMemo(3, 5_00, location_id=1, business_unit_id=SALES))
    rows = shown(company, "Receivables by Location", AsOf=AS_OF.isoformat())
    assert [
        (row["LocationId"], row["BusinessUnit"], row["InvoiceBalance"], row["Credits"])
        for row in rows
    ] == [
        ("1", "East Sales", 0, -5),
        ("1", "East Production", 400, -100),
        ("2", "East Production", 9.5, 0),
        ("4", "East Production", 100, -300),
    ]
    assert [row["Balance"] for row in rows] == [-5, 300, 9.5, -200]
    later = shown(company, "Receivables by Location", AsOf="2025-01-09")
    assert ("3", 5000) in {(row["LocationId"], row["Balance"]) for row in later}


def test_deleted_rows_are_in_no_report() -> None:
    company = production_company()
    company.jobs[0].active = False
    company.gross_pay_items[3].active = False
    first = shown(company, "Job Costing", **BY_START)[0]
    assert (first["JobNumber"], first["LaborPay"]) == ("2", 0)


@pytest.mark.parametrize(
    ("day", "midnight"),
    [("2025-07-01", "2025-07-01T00:00:00-06:00"), ("2025-01-01", "2025-01-01T00:00:00-07:00")],
)
def test_the_offset_is_that_of_the_day(day: str, midnight: str) -> None:
    writer = Writer("America/Denver")
    assert writer.value(date.fromisoformat(day), Kind.DAY) == midnight
    assert writer.value(ticks(midnight), Kind.INSTANT) == midnight
