"""The company's own books: every weekly KPI, computed from its objects in plain Python.

They share no code with the product, so that agreement between the two means something. The rules,
numbered for whoever implements the same in SQL (source: the KPI definitions of the project):

General

 1. A day is the tenant's local date of the UTC instant; a week is named by its Monday.
 2. Money is exact (cents here, decimals in the result). Ratios keep numerator and denominator apart.
 3. Facts with `active = false` never count; a row of an entity without that field is active. A fact
    that belongs to a job (estimate, invoice, appointment, pay line, purchase, return) also needs
    that job to be active.
 4. Dimension rows (business units, job types, customers, locations, technicians) describe facts
    whether they are active or not. A retired unit's money goes to the rollup it is mapped to.
 5. A test customer has `test` in the name, any case, anywhere. Only Leads leaves them out.
 6. First appointment: the row the job names in `firstAppointmentId`, if it exists and is active,
    whatever its status (a canceled one that is still named counts); else the earliest start among
    the job's active appointments that are not Canceled; else the job has none.
 7. Family is that of the job's type; role and rollup are those of the job's unit, unless stated.

Sales side (units with role SALES)

 8. leads: active jobs of the estimate family, every status, customer not a test customer; dated by
    `createdOn`. A job whose customer is unknown counts.
 9. A sold estimate is active, has status name Sold, a `soldOn`, and an active job. An Open or
    Dismissed estimate that still carries a `soldOn` is not sold.
10. total_booked: `subtotal` of sold estimates of jobs of any type, by the JOB's unit and `soldOn`.
11. estimates: active jobs of the estimate family with status Completed and a `completedOn`; dated by
    it. Test customers and no-charge jobs count here.
12. success_rate: one opportunity per active job of any type that is not no-charge. A job is
    no-charge when its own flag says so; where it has none (null), when its type's does.
    Closed: at least one sold estimate, and their subtotals together reach the type's
    `soldThreshold` (null: no threshold); the job's status does not matter; dated by the earliest
    `soldOn`. Every other Completed job with a `completedOn` is open, dated by it.
    Numerator = closed, denominator = closed + open.
13. closed_average_sale: for the closed opportunities of rule 12, all their sold subtotals (whenever
    sold) over their number, in the week of the earliest `soldOn`.
14. estimates_scheduled: active estimate-family jobs not Canceled; dated by the start of the current
    appointment = the latest start among active appointments that are not Canceled; once per job.

Production side (units with role PRODUCTION)

15. Date of a job: start of its first appointment; without one `completedOn`, then `createdOn`.
16. Revenue of a job: sum of `subTotal` of its active invoices (by `job.id`), adjustments included,
    whatever unit the invoice names.
17. produced: revenue of active jobs of every status, by the JOB's unit, dated by rule 15.
18. Cost of a job =
    a. pay lines with its `jobId` (0 and null are no job), types TimesheetTime, CustomBonus and
       InvoiceRelatedBonus: `amount` + `amountAdjustment` (null is 0). Salary and Reimbursement do
       not count, nor does the payroll-adjustments feed (the same money). Equal lines all count.
    b. + `totalCost` of items of type Material or Equipment on its active invoices (null is 0);
    c. + purchases, cost_source bill_else_po with tax and shipping included: every active bill with
       its `jobId` (without one: that of its order), `billAmount` (null is 0), unless the bill's
       purchase order is Canceled; and `total` of every purchase order with its `jobId` that is not Canceled and that no active
       bill names in `purchaseOrderId` (one bill replaces the whole order, also a partial one). A
       bill without an order, or naming an unknown one, counts;
    d. - `returnAmount` of its active returns with status other than Canceled.
19. gpm: (revenue - cost) / revenue over all active jobs, dated by rule 15; jobs with cost and no
    revenue stay in; `produced_excludes` is empty by default.
20. warranty_pct: cost of jobs of the warranty family / revenue of all jobs of the rollup and week.
21. collected: active payments, dated by `date`: exactly 00:00:00Z is a calendar date taken as it
    is, anything else is an instant turned into the local date. Each applied line counts under the
    rollup of the INVOICE's unit when that is PRODUCTION; lines on SALES invoices are left out. A
    line whose invoice is unknown or names no known unit, and the payment's `unappliedAmount`, go
    under the rollup "(unassigned)". The invoice is only looked up: whether it or its job is active
    does not matter here. Refunds are negative lines; equal lines all count.
22. future_bookings (week of as_of only): revenue of active jobs not Canceled, not of the `excluded`
    family, whose first appointment's local day lies from the Monday of as_of's week to the same
    calendar day one year after as_of (29 February becomes 28), both included; once per job. Jobs
    without a first appointment do not count.
23. outstanding_ar (week of as_of only), per location:
    a. Open invoices: active, with a location, the INVOICE's unit is PRODUCTION, `balance` not zero,
       and either no job, or an active job that has started; a job id that does not exist is a
       deleted job's. A job has not started when its first appointment starts on a local day after as_of,
       or when it has no first appointment and its status is not Completed. Every job status
       counts otherwise, Canceled included.
    b. Credits: `unappliedAmount` of active payments and `balance` of active credit memos, taken
       away. A credit naming a SALES unit is left out entirely.
    c. A credit memo's location is its own; without one, and for payments: the location of the first
       invoice it was applied to (lowest `appliedId` among lines whose invoice exists and has a
       location, active or not); else the customer's lowest location id, active or not; else the
       credit is left out.
    d. A location counts when it has an open invoice and invoices - credits >= 10.00.
    e. A counted location's invoices go to the rollup of their unit. Its credits go, negative, to the
       rollup of the credit's own unit when that is PRODUCTION; else (no unit, or an unknown one)
       to that of the location's open invoice with the lowest id.

Shape of the result: key (kpi, week_start, rollup). A cell whose numerator and denominator are both
zero or absent is not written: compare absent cells as zero. No cell is cut at as_of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from st_kpi.sandbox.clock import DAY, LocalDays, calendar_date, monday
from st_kpi.sandbox.company import (
    Application,
    Appointment,
    BusinessUnit,
    Company,
    CreditMemo,
    Estimate,
    Invoice,
    Job,
    Payment,
)
from st_kpi.sandbox.job_costs import (
    by_job,
    labour,
    payroll_adjustments,
    purchases,
    returns,
    supplies,
)

UNASSIGNED = "(unassigned)"
RATIOS = frozenset({"success_rate", "gpm", "warranty_pct", "closed_average_sale"})
AR_MINIMUM_CENTS = 10_00

Key = tuple[str, date, str]


@dataclass(frozen=True, slots=True)
class BookValue:
    """One cell: a sum, or the two sums of a ratio."""

    numerator: Decimal
    denominator: Decimal | None = None

    @property
    def value(self) -> Decimal | None:
        """The published number; None for a ratio over zero."""
        if self.denominator is None:
            return self.numerator
        return self.numerator / self.denominator if self.denominator else None


class Entry(NamedTuple):
    """One amount on its way into a cell; counts are plain numbers, money is cents."""

    kpi: str
    day: date
    rollup: str
    numerator: int = 0
    denominator: int = 0


class Books:
    """Weekly KPIs of a company; see the numbered rules of this module."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.local = LocalDays(company.timezone)
        self.units = {unit.id: unit for unit in company.business_units}
        self.types = {kind.id: kind for kind in company.job_types}
        self.jobs = {job.id: job for job in company.jobs}
        self.invoices = {invoice.id: invoice for invoice in company.invoices}
        self.appointments = {row.id: row for row in company.appointments}
        self.visits: dict[int, list[Appointment]] = defaultdict(list)
        for visit in company.appointments:
            if visit.active and visit.status != "Canceled":
                self.visits[visit.job_id].append(visit)
        self.test_customers = {
            customer.id for customer in company.customers if "test" in customer.name.lower()
        }
        self.sold = self._sold_by_job()
        self.revenue = self._revenue_by_job()
        self.cost = by_job(
            labour(company),
            payroll_adjustments(company),
            supplies(company),
            purchases(company),
            returns(company),
        )

    def weekly(self, as_of: date) -> dict[Key, BookValue]:
        """All cells of all weeks; snapshots only for the week of `as_of` (a local day)."""
        sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
        for entry in self._entries(as_of):
            cell = sums[entry.kpi, monday(entry.day), entry.rollup]
            cell[0] += entry.numerator
            cell[1] += entry.denominator
        return {
            key: _value(key[0], numerator, denominator)
            for key, (numerator, denominator) in sorted(sums.items())
            if numerator or denominator
        }

    def _entries(self, as_of: date) -> Iterator[Entry]:
        for job in self.company.jobs:
            unit = self.units.get(job.business_unit_id)
            if not job.active or unit is None:
                continue
            if unit.sells:
                yield from self._sales(job, unit.rollup)
            if unit.produces:
                yield from self._production(job, unit.rollup, as_of)
        for payment in self.company.payments:
            if payment.active:
                yield from self._collected(payment)
        yield from self._receivable(as_of)

    # Sales side: rules 8 to 14

    def _sales(self, job: Job, rollup: str) -> Iterator[Entry]:
        sold = self.sold.get(job.id, [])
        for estimate, when in sold:
            yield Entry("total_booked", self.local(when), rollup, estimate.subtotal_cents)
        if self.family(job) == "estimate":
            yield from self._estimate_job(job, rollup)
        opportunity = self.opportunity(job)
        if opportunity is not None:
            day, closed, total = opportunity
            yield Entry("success_rate", day, rollup, int(closed), 1)
            if closed:
                yield Entry("closed_average_sale", day, rollup, total, 1)

    def _estimate_job(self, job: Job, rollup: str) -> Iterator[Entry]:
        if job.customer_id not in self.test_customers:
            yield Entry("leads", self.local(job.created), rollup, 1)
        if job.status == "Completed" and job.completed is not None:
            yield Entry("estimates", self.local(job.completed), rollup, 1)
        visits = self.visits.get(job.id)
        if job.status != "Canceled" and visits:
            current = max(visit.start for visit in visits)
            yield Entry("estimates_scheduled", self.local(current), rollup, 1)

    def opportunity(self, job: Job) -> tuple[date, bool, int] | None:
        """Rule 12: the day, whether it closed, and for how many cents; None when it is none."""
        if self.no_charge(job):
            return None
        sold = self.sold.get(job.id, [])
        total = sum(estimate.subtotal_cents for estimate, _ in sold)
        kind = self.types.get(job.job_type_id)
        threshold = kind.sold_threshold_cents if kind else None
        if sold and (threshold is None or total >= threshold):
            return self.local(min(when for _, when in sold)), True, total
        if job.status == "Completed" and job.completed is not None:
            return self.local(job.completed), False, 0
        return None

    # Production side: rules 15 to 20 and 22

    def _production(self, job: Job, rollup: str, as_of: date) -> Iterator[Entry]:
        first = self.first_appointment(job)
        revenue = self.revenue.get(job.id, 0)
        cost = self.cost.get(job.id, 0)
        family = self.family(job)
        day = self.start_day(job)
        yield Entry("produced", day, rollup, revenue)
        yield Entry("gpm", day, rollup, revenue - cost, revenue)
        yield Entry("warranty_pct", day, rollup, cost if family == "warranty" else 0, revenue)
        booked = first is not None and job.status != "Canceled" and family != "excluded"
        if booked and monday(as_of) <= self.local(first or 0) <= _one_year_after(as_of):
            yield Entry("future_bookings", as_of, rollup, revenue)

    # Money received: rule 21

    def _collected(self, payment: Payment) -> Iterator[Entry]:
        day = self.dated(payment.date)
        for line in payment.applied_to:
            invoice = self.invoices.get(line.invoice_id)
            unit = self.unit(invoice.business_unit_id) if invoice else None
            if unit is None:
                yield Entry("collected", day, UNASSIGNED, line.amount_cents or 0)
            elif unit.produces:
                yield Entry("collected", day, unit.rollup, line.amount_cents or 0)
        yield Entry("collected", day, UNASSIGNED, payment.unapplied_cents or 0)

    # Money owed: rule 23

    def _receivable(self, as_of: date) -> Iterator[Entry]:
        owed: dict[int, list[tuple[int, BusinessUnit, int]]] = defaultdict(list)
        for invoice in self.company.invoices:
            unit = self.unit(invoice.business_unit_id)
            if invoice.location_id is None or unit is None or not unit.produces:
                continue
            if invoice.active and invoice.balance_cents and self.due(invoice, as_of):
                owed[invoice.location_id].append((invoice.id, unit, invoice.balance_cents))
        credits: dict[int, list[tuple[BusinessUnit | None, int]]] = defaultdict(list)
        for location_id, unit_or_none, cents in self.credits():
            sales = unit_or_none is not None and unit_or_none.role == "SALES"
            if location_id in owed and not sales:
                credits[location_id].append((unit_or_none, cents))
        for location_id, invoices in owed.items():
            less = credits.get(location_id, [])
            net = sum(cents for *_, cents in invoices) - sum(cents for _, cents in less)
            if net < AR_MINIMUM_CENTS:
                continue
            oldest = min(invoices, key=lambda row: row[0])[1]
            for _, unit, cents in invoices:
                yield Entry("outstanding_ar", as_of, unit.rollup, cents)
            for own, cents in less:
                yield Entry("outstanding_ar", as_of, (own or oldest).rollup, -cents)

    def due(self, invoice: Invoice, as_of: date) -> bool:
        """Rule 23a: whether the invoice's job, if any, has started."""
        if invoice.job_id is None:
            return True
        job = self.jobs.get(invoice.job_id)
        if job is None or not job.active:
            return False
        first = self.first_appointment(job)
        return job.status == "Completed" if first is None else self.local(first) <= as_of

    def credits(self) -> Iterator[tuple[int, BusinessUnit | None, int]]:
        """Rule 23c: location, own unit and cents of every open credit, those of sales units too."""
        lowest: dict[int, int] = {}
        for place in self.company.locations:
            known = lowest.get(place.customer_id)
            lowest[place.customer_id] = place.id if known is None else min(known, place.id)
        rows: list[tuple[int | None, Payment | CreditMemo, int | None]] = [
            *((None, row, row.unapplied_cents) for row in self.company.payments if row.active),
            *(
                (row.location_id, row, row.balance_cents)
                for row in self.company.credit_memos
                if row.active
            ),
        ]
        for own, row, cents in rows:
            unit = self.unit(row.business_unit_id)
            if not cents:
                continue
            location_id = own if own is not None else self._applied_location(row.applied_to)
            if location_id is None and row.customer_id is not None:
                location_id = lowest.get(row.customer_id)
            if location_id is not None:
                yield location_id, unit, cents

    def _applied_location(self, lines: tuple[Application, ...]) -> int | None:
        for line in sorted(lines, key=lambda line: line.id):
            invoice = self.invoices.get(line.invoice_id)
            if invoice is not None and invoice.location_id is not None:
                return invoice.location_id
        return None

    # What belongs to a job

    def dated(self, moment: int) -> date:
        """Rule 21: a midnight is a calendar date as it is, anything else an instant."""
        return calendar_date(moment) if moment % DAY == 0 else self.local(moment)

    def start_day(self, job: Job) -> date:
        """Rule 15: the day a job's work is dated by."""
        first = self.first_appointment(job)
        start = first if first is not None else job.completed
        return self.local(job.created if start is None else start)

    def unit(self, unit_id: int | None) -> BusinessUnit | None:
        """The unit of that id, if there is one."""
        return None if unit_id is None else self.units.get(unit_id)

    def family(self, job: Job) -> str:
        """Rule 7: that of the job's type."""
        kind = self.types.get(job.job_type_id)
        return kind.family if kind else "other"

    def no_charge(self, job: Job) -> bool:
        """Rule 12: the job's own word, else its type's."""
        if job.no_charge is not None:
            return job.no_charge
        kind = self.types.get(job.job_type_id)
        return bool(kind and kind.no_charge)

    def first_appointment(self, job: Job) -> int | None:
        """Rule 6: its start."""
        named = (
            None
            if job.first_appointment_id is None
            else self.appointments.get(job.first_appointment_id)
        )
        if named is not None and named.active:
            return named.start
        return min((visit.start for visit in self.visits.get(job.id, ())), default=None)

    def _sold_by_job(self) -> dict[int, list[tuple[Estimate, int]]]:
        sold: dict[int, list[tuple[Estimate, int]]] = defaultdict(list)
        for row in self.company.estimates:
            if row.active and row.status == "Sold" and row.sold is not None and row.job_id:
                sold[row.job_id].append((row, row.sold))
        return sold

    def _revenue_by_job(self) -> dict[int, int]:
        revenue: dict[int, int] = defaultdict(int)
        for invoice in self.company.invoices:
            if invoice.active and invoice.job_id is not None:
                revenue[invoice.job_id] += invoice.subtotal_cents
        return revenue


def _value(kpi: str, numerator: int, denominator: int) -> BookValue:
    counts = kpi in ("leads", "estimates", "estimates_scheduled", "success_rate")
    top = Decimal(numerator) if counts else Decimal(numerator).scaleb(-2)
    if kpi not in RATIOS:
        return BookValue(top)
    whole = kpi in ("success_rate", "closed_average_sale")
    return BookValue(top, Decimal(denominator) if whole else Decimal(denominator).scaleb(-2))


def _one_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)
