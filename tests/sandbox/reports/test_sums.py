"""The reports, filtered as the KPIs are defined, add up to the books to the cent."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.sandbox import Books, Company
from st_kpi.sandbox.clock import monday
from tests.sandbox.reports.conftest import Reader

WEEKS = [date(2021, 3, 1) + timedelta(weeks=17 * n) for n in range(14)]
EXCLUDED = {"PM Inspection", "Safety Inspection", "Window/Solar Washing"}
LOOSE = "(unassigned)"
Sums = dict[str, Decimal]


class Expected:
    """The cells of the books by KPI and week, and the units by the name that reports give them."""

    def __init__(self, company: Company) -> None:
        self.as_of = company.last_day
        self.cells = Books(company).weekly(self.as_of)
        self.units = {unit.name: unit for unit in company.business_units}

    def of(self, kpi: str, week: date, *, denominator: bool = False) -> Sums:
        found = {
            rollup: cell.denominator if denominator else cell.numerator
            for (name, start, rollup), cell in self.cells.items()
            if (name, start) == (kpi, week)
        }
        return {rollup: value for rollup, value in found.items() if value}

    def sums(self, rows: Iterable[dict[str, Any]], unit: str, value: str | None, role: str) -> Sums:
        """By rollup: the rows' values, or their number, of the units with a role."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            known = self.units.get(row[unit] or "")
            if known is not None and known.role == role:
                sums[known.rollup] += 1 if value is None else Decimal(str(row[value]))
        return {rollup: total for rollup, total in sums.items() if total}


@pytest.fixture(scope="module")
def expected(company: Company) -> Expected:
    return Expected(company)


def week_of(start: date) -> dict[str, str]:
    return {"From": start.isoformat(), "To": (start + timedelta(days=6)).isoformat()}


async def costing(reader: Reader, **dates: str) -> list[dict[str, Any]]:
    number = await reader.date_type("Job Start Date")
    return await reader.rows(
        "Job Costing", DateType=number, IncludeAdjustmentInvoices=True, **dates
    )


async def test_job_costing_is_produced_margin_and_warranty(
    reader: Reader, expected: Expected
) -> None:
    seen = 0
    for week in WEEKS:
        rows = await costing(reader, **week_of(week))
        revenue = expected.sums(rows, "JobBusinessUnit", "Subtotal", "PRODUCTION")
        cost = expected.sums(rows, "JobBusinessUnit", "TotalCosts", "PRODUCTION")
        warranty = [row for row in rows if row["JobType"].startswith(("Warranty", "Touchup"))]
        assert revenue == expected.of("produced", week)
        margin = {unit: revenue.get(unit, 0) - cost.get(unit, 0) for unit in {*revenue, *cost}}
        assert {unit: cents for unit, cents in margin.items() if cents} == expected.of("gpm", week)
        assert expected.sums(warranty, "JobBusinessUnit", "TotalCosts", "PRODUCTION") == (
            expected.of("warranty_pct", week)
        )
        seen += len(revenue)
    assert seen > len(WEEKS)


async def test_a_row_of_job_costing_adds_up(reader: Reader) -> None:
    rows = await costing(reader, From="2021-01-01", To="2025-12-31")
    parts = (
        "LaborPay",
        "PayrollAdjustments",
        "MaterialEquipmentPurchaseOrderCosts",
        "ReturnCosts",
    )
    for row in rows:
        cost = sum(Decimal(str(row[part])) for part in parts)
        assert cost == Decimal(str(row["TotalCosts"]))
        margin = (row["Subtotal"] - row["TotalCosts"]) / row["Subtotal"] if row["Subtotal"] else 0
        assert row["GrossMarginPercentage"] == pytest.approx(margin)
    for part in parts:
        assert any(row[part] for row in rows), part
    assert {row["JobStatus"] for row in rows} >= {"Completed", "Canceled", "Scheduled", "Hold"}
    assert all(row["ReturnCosts"] <= 0 for row in rows)
    assert len({row["JobNumber"] for row in rows}) == len(rows)


@pytest.mark.parametrize("report", ["Job Costing", "Future Bookings"])
async def test_future_bookings_are_the_costing_of_the_coming_year(
    reader: Reader, expected: Expected, report: str
) -> None:
    start, end = monday(expected.as_of), expected.as_of.replace(year=expected.as_of.year + 1)
    rows = await reader.rows(
        report,
        DateType=await reader.date_type("Job Start Date"),
        From=start.isoformat(),
        To=end.isoformat(),
        IncludeAdjustmentInvoices=True,
    )
    kept = [
        row
        for row in rows
        if row["ScheduledDate"] and row["JobStatus"] != "Canceled"
        if row["JobType"] not in EXCLUDED
    ]
    assert len(kept) == len(rows) or report == "Job Costing"
    sums = expected.sums(kept, "JobBusinessUnit", "Subtotal", "PRODUCTION")
    assert sums == expected.of("future_bookings", start) != {}


async def test_leads_are_counted(reader: Reader, expected: Expected) -> None:
    for week in WEEKS:
        rows = await reader.rows("Leads", **week_of(week))
        assert expected.sums(rows, "JobBusinessUnit", None, "SALES") == expected.of("leads", week)
        assert not [row for row in rows if "test" in row["CustomerName"].lower()]


async def test_sold_estimates_and_unit_sales_are_total_booked(
    reader: Reader, expected: Expected
) -> None:
    for week in WEEKS:
        booked = expected.of("total_booked", week)
        rows = await reader.rows("Sold Estimates", **week_of(week))
        assert expected.sums(rows, "EstimateBusinessUnit", "Subtotal", "SALES") == booked
        units = await reader.rows("Business Unit Sales", **week_of(week))
        assert expected.sums(units, "Name", "TotalSales", "SALES") == booked
        for column, kpi, part in (
            ("ClosedOpportunities", "success_rate", False),
            ("SalesOpportunities", "success_rate", True),
            ("ClosedOpportunities", "closed_average_sale", True),
            ("CompletedEstimates", "estimates", False),
        ):
            counted = expected.sums(units, "Name", column, "SALES")
            assert counted == expected.of(kpi, week, denominator=part), column


async def test_rates_of_a_unit_are_fractions_of_its_own_row(reader: Reader) -> None:
    rows = await reader.rows("Business Unit Sales", From="2021-01-01", To="2025-12-31")
    assert any(0 < row["CloseRate"] < 1 for row in rows)
    for row in rows:
        whole = row["SalesOpportunities"]
        assert row["CloseRate"] == (row["ClosedOpportunities"] / whole if whole else 0)


async def test_collections_are_what_was_collected(reader: Reader, expected: Expected) -> None:
    loose = [week for kpi, week, rollup in expected.cells if (kpi, rollup) == ("collected", LOOSE)]
    assert loose
    for week in (*WEEKS, *loose[:5]):
        rows = await reader.rows("Collections", **week_of(week))
        own = {k: v for k, v in expected.of("collected", week).items() if k != LOOSE}
        assert expected.sums(rows, "InvoiceBusinessUnit", "Amount", "PRODUCTION") == own
        rest = sum(
            Decimal(str(row["Amount"])) for row in rows if row["InvoiceBusinessUnit"] is None
        )
        assert rest == expected.of("collected", week).get(LOOSE, 0)


async def test_receivables_are_outstanding(reader: Reader, expected: Expected) -> None:
    rows = await reader.rows("Receivables by Location", AsOf=expected.as_of.isoformat())
    crew = {unit.name for unit in expected.units.values() if unit.role == "PRODUCTION"}
    kept = [row for row in rows if row["BusinessUnit"] in crew]
    owed: dict[str, Decimal] = defaultdict(Decimal)
    billed = set()
    for row in kept:
        owed[row["LocationId"]] += Decimal(str(row["Balance"]))
        if row["InvoiceBalance"]:
            billed.add(row["LocationId"])
    counted = [row for row in kept if row["LocationId"] in billed and owed[row["LocationId"]] >= 10]
    sums = expected.sums(counted, "BusinessUnit", "Balance", "PRODUCTION")
    assert sums == expected.of("outstanding_ar", monday(expected.as_of)) != {}
    assert any(row["Credits"] < 0 for row in counted)
    assert len(counted) < len(kept)
    assert all(
        Decimal(str(row["Balance"]))
        == Decimal(str(row["InvoiceBalance"])) + Decimal(str(row["Credits"]))
        for row in rows
    )
