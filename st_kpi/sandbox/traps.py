"""What real tenants hold and careless pipelines miss, set by hand so that any scale has each.

Many traps come out of the generator by chance; at small scale chance is not enough. Each function
here picks a few rows of one kind (two, or a small share of a big company) and bends them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from st_kpi.sandbox.clock import DAY, HOUR, SECOND
from st_kpi.sandbox.company import (
    Application,
    Company,
    CreditMemo,
    Estimate,
    Invoice,
    Job,
    Payment,
)
from st_kpi.sandbox.money import UNKNOWN_INVOICE
from st_kpi.sandbox.reference import NOW, OPENING

Row = TypeVar("Row")
_MONDAY = OPENING - 2 * DAY  # Monday 2019-12-30, 00:00 local


def set_traps(company: Company, rng: Random) -> None:
    """Bend rows of every kind; the company stays consistent, only less convenient."""
    bend = _Bender(company, rng)
    bend.inactive_rows()
    bend.sales()
    bend.week_edges()
    bend.visits()
    bend.billing()
    bend.payments()
    bend.receivables()
    bend.purchases()
    bend.pay()


class _Bender:
    def __init__(self, company: Company, rng: Random) -> None:
        self.company = company
        self.rng = rng
        self.jobs = {job.id: job for job in company.jobs}
        self.units = {unit.id: unit for unit in company.business_units}
        self.types = {kind.id: kind for kind in company.job_types}

    def pick(
        self, rows: Sequence[Row], fits: Callable[[Row], bool], share: float = 0.0005
    ) -> list[Row]:
        """Two rows that fit, or `share` of all in a big company; fewer when none are left."""
        wanted = max(2, round(len(rows) * share))
        found: dict[int, Row] = {}
        for _ in range(60 * wanted if rows else 0):
            n = int(self.rng.random() * len(rows))
            if n not in found and fits(rows[n]):
                found[n] = rows[n]
                if len(found) == wanted:
                    break
        return list(found.values())

    def role(self, unit_id: int | None) -> str:
        unit = self.units.get(unit_id or 0)
        return unit.role if unit else ""

    def family(self, job: Job) -> str:
        return self.types[job.job_type_id].family

    def inactive_rows(self) -> None:
        """Deleted rows that carried money or counted while they were active."""
        company = self.company
        for job in self.pick(company.jobs, lambda row: bool(row.total_cents), 0.002):
            job.active = False
        for sale in self.pick(company.estimates, lambda row: row.status == "Sold", 0.002):
            sale.active = False
        for bill in self.pick(company.invoices, lambda row: row.subtotal_cents > 0, 0.002):
            bill.active = False
        for payment in self.pick(company.payments, lambda row: row.active, 0.002):
            payment.active = False
        for sub in (
            company.inventory_bills,
            company.receipts,
            company.returns,
            company.credit_memos,
            company.gross_pay_items,
            company.payroll_adjustments,
            company.customers,
            company.locations,
        ):
            rows: Sequence[Any] = sub
            for row in self.pick(rows, lambda row: row.active):
                row.active = False

    def sales(self) -> None:
        """Late sales, sales undone, thresholds missed, sales in the wrong place, no-charge rules."""
        company = self.company
        for row in self.pick(company.estimates, self._sold_by_sales):
            late = (self._job_of(row).completed or row.created) + 45 * DAY
            row.sold = late if late < NOW else row.sold
        for row in self.pick(company.estimates, self._sold_by_sales):
            row.status = "Open"
        for row in self.pick(company.estimates, self._misses_threshold):
            job = self._job_of(row)
            job.job_type_id = next(
                kind.id for kind in company.job_types if kind.sold_threshold_cents
            )
            row.sold, row.status, row.subtotal_cents = row.created, "Sold", 120_00
        for row in self.pick(company.estimates, self._of_canceled_job):
            row.status, row.sold = "Sold", row.created
        crews = [job for job in company.jobs if self.role(job.business_unit_id) == "PRODUCTION"]
        spare = self.pick(company.estimates, self._orphan)
        for job, row in zip(self.pick(crews, lambda job: True), spare, strict=False):
            row.job_id, row.status, row.sold = job.id, "Sold", min(NOW, job.created + HOUR)
        free = next(kind for kind in company.job_types if kind.no_charge)
        for flag in (None, False):
            for job in self.pick(company.jobs, self._completed_estimate):
                job.job_type_id, job.no_charge = free.id, flag
        for job in self.pick(company.jobs, self._completed_estimate):
            job.no_charge = True

    def week_edges(self) -> None:
        """Events in the last and first seconds of a local week, on another day in UTC."""
        company = self.company
        for n, job in enumerate(self.pick(company.jobs, self._completed_estimate, 0.001)):
            job.created = self._edge(job.created, n)
            job.completed = self._edge(max(job.completed or 0, job.created) + 7 * DAY, n + 1)
            job.modified = max(job.modified, job.completed)
        for n, row in enumerate(self.pick(company.estimates, self._sold_by_sales)):
            row.sold = self._edge(row.sold or row.created, n)
        for n, payment in enumerate(self.pick(company.payments, lambda row: True)):
            payment.date = self._edge(payment.date, n)

    def _edge(self, instant: int, n: int) -> int:
        """The last second (n even) or first second (n odd) of the instant's local week."""
        week = (min(instant, NOW - 8 * DAY) - _MONDAY) // (7 * DAY)
        return max(OPENING, _MONDAY + (week + 1) * 7 * DAY - (SECOND if n % 2 == 0 else 0))

    def visits(self) -> None:
        """First appointments that are canceled, deleted, missing, or in the night of a Sunday."""
        company = self.company
        rows = {row.id: row for row in company.appointments}
        done = [job for job in company.jobs if job.first_appointment_id in rows]
        for n, job in enumerate(self.pick(done, lambda job: job.status == "Completed", 0.001)):
            row = rows[job.first_appointment_id or 0]
            if n % 3 == 0:
                row.active = False
            elif n % 3 == 1:
                row.start = self._edge(row.start, 0) - HOUR // 2
                row.end = row.start + 2 * HOUR
            else:
                job.first_appointment_id = 399_999_999
        for job in self.pick(done, lambda job: job.status == "Completed"):
            if job.first_appointment_id in rows:
                moved = replace(
                    rows[job.first_appointment_id or 0], id=398_000_000 + job.id % 10**6
                )
                rows[job.first_appointment_id or 0].status = "Canceled"
                moved.start, moved.end = moved.start + 9 * DAY, moved.end + 9 * DAY
                company.appointments.append(moved)
                job.last_appointment_id, job.appointment_count = moved.id, job.appointment_count + 1

    def billing(self) -> None:
        """Money on unfinished jobs; invoices without a unit, on a wrong one, without a stamp."""
        company = self.company
        for n, job in enumerate(self.pick(company.jobs, self._finished_with_money)):
            job.status, job.completed = ("Hold", "Scheduled")[n % 2], None
        for row in self.pick(company.invoices, self._production_invoice):
            row.business_unit_id = None
        for row in self.pick(company.invoices, self._production_invoice):
            row.business_unit_id = company.business_units[0].id
        for row in self.pick(company.invoices, lambda row: True):
            row.modified = None
        for row in self.pick(company.invoices, lambda row: len(row.items) > 1):
            row.items[1].total_cost_cents = None

    def payments(self) -> None:
        """Refunds, one payment for many invoices, the same line twice, money not yet applied."""
        company = self.company
        bills = [row for row in company.invoices if self._production_invoice(row)]
        plain = [
            row for row in company.payments if len(row.applied_to) == 1 and row.total_cents > 99
        ]
        for n, payment in enumerate(self.pick(plain, lambda row: row.active, 0.004)):
            self._bend_payment(payment, n, bills)

    def _bend_payment(self, payment: Payment, n: int, bills: list[Invoice]) -> None:
        line = payment.applied_to[0]
        cents = line.amount_cents or 0
        other = bills[int(self.rng.random() * len(bills))] if bills else None
        key = 790_000_000 + 2 * payment.id % 10_000_000
        if n % 5 == 0 and other:
            extra = Application(key, other.id, cents // 2, line.applied)
            payment.applied_to = (replace(line, amount_cents=cents - cents // 2), extra)
        elif n % 5 == 1:
            half = cents // 2
            payment.applied_to = (replace(line, amount_cents=half), replace(line, id=key))
            payment.applied_to[1].amount_cents = half
            payment.unapplied_cents = payment.total_cents - 2 * half
        elif n % 5 == 2:
            payment.applied_to = (replace(line, amount_cents=-cents),)
            payment.total_cents, payment.unapplied_cents = -cents, 0
            payment.refunded_payment_id = self.company.payments[0].id
        elif n % 5 == 3:
            payment.unapplied_cents = (payment.unapplied_cents or 0) + 123_45
            payment.total_cents += 123_45
        else:
            payment.applied_to = (replace(line, invoice_id=UNKNOWN_INVOICE),)

    def receivables(self) -> None:
        """Locations that owe less than 10.00, or are owed money."""
        company = self.company
        settled = [row for row in company.invoices if self._settled(row)]
        for n, row in enumerate(self.pick(settled, lambda row: True, 0.001)):
            row.balance_cents = 9_50 if n % 2 else 100_00
            if n % 2 == 0:
                company.credit_memos[n % len(company.credit_memos)] = replace(
                    company.credit_memos[n % len(company.credit_memos)],
                    balance_cents=300_00,
                    total_cents=300_00,
                    applied_to=(),
                    location_id=row.location_id,
                    customer_id=row.customer_id,
                    business_unit_id=row.business_unit_id,
                    active=True,
                )
        for n, memo in enumerate(self.pick(company.credit_memos, self._open_memo)):
            memo.location_id = None if n % 2 else memo.location_id
            memo.business_unit_id = None

    def purchases(self) -> None:
        """Bills of canceled orders, bills without an order or stamps, canceled returns."""
        company = self.company
        bills = company.inventory_bills
        orders = {row.id: row for row in company.purchase_orders}
        for bill in self.pick(bills, lambda row: row.active and row.purchase_order_id in orders):
            orders[bill.purchase_order_id or 0].status = "Canceled"
        for bill in self.pick(bills, lambda row: row.active, 0.002):
            bill.created = bill.modified = None
        for bill in self.pick(bills, lambda row: row.active and bool(row.job_id)):
            bill.purchase_order_id = None
        for back in self.pick(company.returns, lambda row: row.status != "Returned"):
            back.status = "Canceled"
        for order in self.pick(company.purchase_orders, lambda row: row.status == "Received"):
            order.status, order.received = "Pending", None

    def pay(self) -> None:
        """Equal lines in numbers, corrections, salaries and expenses that name a job."""
        company = self.company
        rows = company.gross_pay_items
        for row in self.pick(rows, lambda row: row.id is None and bool(row.job_id), 0.001):
            rows.append(replace(row, row=len(rows)))
        for row in self.pick(rows, lambda row: row.kind == "TimesheetTime"):
            row.adjustment_cents = -12_34
        for n, row in enumerate(self.pick(rows, lambda row: bool(row.job_id))):
            row.kind = "Salary" if n % 2 else "Reimbursement"

    # What fits

    def _job_of(self, row: Estimate) -> Job:
        return self.jobs[row.job_id or 0]

    def _sold_by_sales(self, row: Estimate) -> bool:
        job = self.jobs.get(row.job_id or 0)
        return (
            row.active
            and row.status == "Sold"
            and job is not None
            and job.active
            and job.status == "Completed"
            and self.role(job.business_unit_id) == "SALES"
        )

    def _orphan(self, row: Estimate) -> bool:
        return row.job_id is None and row.status != "Sold"

    def _misses_threshold(self, row: Estimate) -> bool:
        return self._sold_by_sales(row) and len(self._job_of(row).estimate_ids) == 1

    def _of_canceled_job(self, row: Estimate) -> bool:
        job = self.jobs.get(row.job_id or 0)
        return row.active and job is not None and job.status == "Canceled"

    def _completed_estimate(self, job: Job) -> bool:
        long_ago = job.created < NOW - 30 * DAY
        return long_ago and job.status == "Completed" and self.family(job) == "estimate"

    def _finished_with_money(self, job: Job) -> bool:
        return job.status == "Completed" and job.active and bool(job.total_cents)

    def _production_invoice(self, row: Invoice) -> bool:
        return row.subtotal_cents > 0 and self.role(row.business_unit_id) == "PRODUCTION"

    def _settled(self, row: Invoice) -> bool:
        return self._production_invoice(row) and row.active and not row.balance_cents

    def _open_memo(self, row: CreditMemo) -> bool:
        return row.active and row.balance_cents > 0
