"""Reports of what was sold: a row per estimate, or one per business unit and none of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from st_kpi.sandbox.company import Estimate, Job
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.table import Asked, Row, Value

_TOTALS = ("TotalSales", "SalesOpportunities", "ClosedOpportunities", "CompletedEstimates", "_Sold")


def sold_estimates(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """Every sold estimate of an active job, under the job's unit."""
    for job, estimate, sold in _sold(ledger):
        customer = estimate.customer_id if estimate.customer_id is not None else job.customer_id
        yield Row(
            str(estimate.id),
            job.business_unit_id,
            {
                "EstimateId": str(estimate.id),
                "JobNumber": str(job.id),
                "EstimateBusinessUnit": ledger.unit_name(job.business_unit_id),
                "SoldOn": sold,
                "SoldBy": ledger.technician(estimate.sold_by_id),
                "CustomerName": ledger.customer(customer),
                "Subtotal": estimate.subtotal_cents,
                "EstimateStatus": estimate.status,
            },
            {"": ledger.books.local(sold)},
            other={"tax": {"Subtotal": estimate.tax_cents}},
        )


def unit_sales(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """What adds up to the row of a unit: sales, opportunities and visits completed, each by its day."""
    for job, estimate, sold in _sold(ledger):
        day = ledger.books.local(sold)
        yield _event(ledger, job, day, f"sale {estimate.id} of", TotalSales=estimate.subtotal_cents)
    for job in ledger.company.jobs:
        if not job.active:
            continue
        opportunity = ledger.books.opportunity(job)
        if opportunity is not None:
            day, closed, total = opportunity
            yield _event(
                ledger,
                job,
                day,
                "opportunity",
                SalesOpportunities=1,
                ClosedOpportunities=int(closed),
                _Sold=total,
            )
        completed = job.status == "Completed" and job.completed is not None
        if completed and ledger.books.family(job) == "estimate":
            day = ledger.books.local(job.completed or 0)
            yield _event(ledger, job, day, "estimate", CompletedEstimates=1)


def by_unit(ledger: Ledger, rows: list[Row]) -> list[Row]:
    """One row per unit that has any, with the rates that only sums have."""
    sums: dict[int | None, dict[str, int]] = {}
    for row in rows:
        unit = sums.setdefault(row.unit_id, dict.fromkeys(_TOTALS, 0))
        for name in _TOTALS:
            value = row.values.get(name, 0)
            assert isinstance(value, int)
            unit[name] += value
    return [_unit_row(ledger, unit_id, sums[unit_id]) for unit_id in sorted(sums, key=str)]


def _unit_row(ledger: Ledger, unit_id: int | None, total: dict[str, int]) -> Row:
    closed, opportunities = total["ClosedOpportunities"], total["SalesOpportunities"]
    values: dict[str, Value] = {
        "Name": ledger.unit_name(unit_id),
        **total,
        "CloseRate": closed / opportunities if opportunities else 0,
        "ClosedAverageSale": round(total["_Sold"] / closed) if closed else 0,
    }
    return Row(str(unit_id), unit_id, values)


def _event(ledger: Ledger, job: Job, day: date, what: str, **amounts: int) -> Row:
    name = ledger.unit_name(job.business_unit_id)
    return Row(f"{what} {job.id}", job.business_unit_id, {"Name": name, **amounts}, {"": day})


def _sold(ledger: Ledger) -> Iterator[tuple[Job, Estimate, int]]:
    for job_id, pairs in ledger.books.sold.items():
        job = ledger.books.jobs.get(job_id)
        if job is not None and job.active:
            for estimate, sold in pairs:
                yield job, estimate, sold
