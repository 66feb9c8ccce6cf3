"""Reports with a row per job: what jobs cost, and which were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from st_kpi.sandbox import job_costs
from st_kpi.sandbox.company import Job
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.table import Asked, Row, Value

COSTS = ("LaborPay", "PayrollAdjustments", "MaterialEquipmentPurchaseOrderCosts", "ReturnCosts")


def costing(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """Every active job of any status, by each date it has."""
    company, books = ledger.company, ledger.books
    by_job = job_costs.by_job
    parts = (
        by_job(job_costs.labour(company)),
        by_job(job_costs.payroll_adjustments(company)),
        by_job(job_costs.supplies(company), job_costs.purchases(company)),
        by_job(job_costs.returns(company)),
    )
    bills = by_job(job_costs.purchases(company))
    orders = by_job(job_costs.orders(company))
    invoiced = _Invoiced(ledger)
    crew = _crews(ledger)
    for job in company.jobs:
        if not job.active:
            continue
        cents = [part.get(job.id, 0) for part in parts]
        values: dict[str, Value] = {
            **_described(ledger, job),
            "ScheduledDate": _scheduled(ledger, job),
            "SoldBy": ledger.technician(job.sold_by_id),
            "PrimaryTechnician": ledger.technician(crew.get(job.id)),
            "Subtotal": books.revenue.get(job.id, 0),
            **dict(zip(COSTS, cents, strict=True)),
        }
        days = {
            "Job Start Date": books.start_day(job),
            "Job Creation Date": books.local(job.created),
        }
        if job.status == "Completed" and job.completed is not None:
            days["Job Completion Date"] = books.local(job.completed)
        if job.id in invoiced.days:
            days["Invoice Date"] = invoiced.days[job.id]
        yield Row(
            str(job.id),
            job.business_unit_id,
            values,
            days,
            other={
                "orders": {COSTS[2]: orders.get(job.id, 0) - bills.get(job.id, 0)},
                "tax": {"Subtotal": invoiced.tax.get(job.id, 0)},
                "adjustments": {
                    "Subtotal": -invoiced.adjusted.get(job.id, 0),
                    COSTS[2]: -invoiced.adjusted_supplies.get(job.id, 0),
                },
            },
        )


def future_bookings(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """The office's copy of the costing: jobs with a visit, not canceled, but for a few types."""
    for row in costing(ledger, asked):
        if row.values["ScheduledDate"] is None or row.values["JobStatus"] == "Canceled":
            continue
        job = ledger.books.jobs[int(row.key)]
        row.left_out = "family" if ledger.books.family(job) == "excluded" else ""
        yield row


def with_totals(ledger: Ledger, rows: list[Row]) -> list[Row]:
    """Cost and margin of each row from its parts; the margin is a fraction, 0 without revenue."""
    for row in rows:
        cost = sum(_cents(row, name) for name in COSTS)
        revenue = _cents(row, "Subtotal")
        row.values["TotalCosts"] = cost
        row.values["GrossMarginPercentage"] = (revenue - cost) / revenue if revenue else 0
    return rows


def leads(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """Every active job of the estimate family; the office's filter hides test customers."""
    for job in ledger.company.jobs:
        if job.active and ledger.books.family(job) == "estimate":
            created = ledger.books.local(job.created)
            yield Row(
                str(job.id),
                job.business_unit_id,
                {**_described(ledger, job), "CreatedDate": created},
                {"": created},
                left_out="test" if job.customer_id in ledger.books.test_customers else "",
            )


def _described(ledger: Ledger, job: Job) -> dict[str, Value]:
    return {
        "JobNumber": str(job.id),
        "JobBusinessUnit": ledger.unit_name(job.business_unit_id),
        "JobType": ledger.job_type(job.job_type_id),
        "CustomerName": ledger.customer(job.customer_id),
        "JobStatus": job.status,
    }


def _scheduled(ledger: Ledger, job: Job) -> date | None:
    first = ledger.books.first_appointment(job)
    return None if first is None else ledger.books.local(first)


def _crews(ledger: Ledger) -> dict[int, int]:
    """Who was first paid for hours on each job."""
    crew: dict[int, int] = {}
    for line in ledger.company.gross_pay_items:
        if line.active and line.job_id and line.kind in job_costs.LABOUR:
            crew.setdefault(line.job_id, line.employee_id)
    return crew


def _cents(row: Row, name: str) -> int:
    value = row.values[name]
    assert isinstance(value, int)
    return value


class _Invoiced:
    """Per job: the day of its first invoice, its tax, and what adjustments add."""

    def __init__(self, ledger: Ledger) -> None:
        self.days: dict[int, date] = {}
        self.tax: dict[int, int] = {}
        self.adjusted: dict[int, int] = {}
        self.adjusted_supplies: dict[int, int] = {}
        for bill in ledger.company.invoices:
            key = bill.job_id
            if not bill.active or key is None:
                continue
            day = ledger.books.dated(bill.created if bill.day is None else bill.day)
            self.days[key] = min(day, self.days.get(key, day))
            self.tax[key] = self.tax.get(key, 0) + bill.tax_cents
            if bill.adjustment_to_id is not None:
                self.adjusted[key] = self.adjusted.get(key, 0) + bill.subtotal_cents
                supplies = self.adjusted_supplies.get(key, 0) + job_costs.supplies_of(bill)
                self.adjusted_supplies[key] = supplies
