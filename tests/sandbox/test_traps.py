"""The company holds what real tenants hold and careless pipelines miss, at every scale."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import astuple
from datetime import date, timedelta
from typing import Any

import pytest

from st_kpi.sandbox import Company, generate_company
from st_kpi.sandbox.clock import DAY, LocalDays, calendar_date, iso, midnight, monday
from st_kpi.sandbox.company import Estimate, Invoice, Job
from st_kpi.sandbox.reference import NOW

Trap = Callable[["Seen"], Any]


class Seen:
    """A company with the look-ups that the predicates below need."""

    def __init__(self, company: Company) -> None:
        self.c = company
        self.local = LocalDays(company.timezone)
        self.jobs = {row.id: row for row in company.jobs}
        self.types = {row.id: row for row in company.job_types}
        self.units = {row.id: row for row in company.business_units}
        self.visits = {row.id: row for row in company.appointments}
        self.invoices = {row.id: row for row in company.invoices}
        self.orders = {row.id: row for row in company.purchase_orders}

    def role(self, unit_id: int | None) -> str:
        return self.units[unit_id].role if unit_id else ""

    def sold(self) -> Iterable[tuple[Estimate, Job, int]]:
        for row in self.c.estimates:
            if row.active and row.status == "Sold" and row.sold and row.job_id:
                yield row, self.jobs[row.job_id], row.sold

    def other_week(self, instant: int) -> bool:
        """The local week differs from the week of the UTC day."""
        return monday(self.local(instant)) != monday(calendar_date(instant))

    def family(self, job: Job) -> str:
        return self.types[job.job_type_id].family

    def billed(self, *statuses: str) -> list[Invoice]:
        return [
            row
            for row in self.c.invoices
            if row.subtotal_cents > 0 and row.job_id and self.jobs[row.job_id].status in statuses
        ]

    def owed(self) -> dict[int, int]:
        """Open money less credits per location of production invoices, roughly."""
        net: Counter[int] = Counter()
        for row in self.c.invoices:
            if row.active and row.location_id and self.role(row.business_unit_id) == "PRODUCTION":
                net[row.location_id] += row.balance_cents
        for memo in self.c.credit_memos:
            if memo.active and memo.location_id:
                net[memo.location_id] -= memo.balance_cents
        return net


def first_visit(seen: Seen, job: Job) -> Any:
    return seen.visits.get(job.first_appointment_id or 0)


def equal_pay(seen: Seen) -> bool:
    rows = Counter(astuple(row)[1:] for row in seen.c.gross_pay_items if row.id is None)
    return max(rows.values()) > 1


def moved(seen: Seen) -> set[int]:
    canceled = {row.job_id for row in seen.c.appointments if row.status == "Canceled"}
    live = {row.job_id for row in seen.c.appointments if row.status != "Canceled"}
    return canceled & live


def bonus_money(seen: Seen) -> Any:
    bonuses = {row.source_id: row for row in seen.c.gross_pay_items if row.kind == "CustomBonus"}
    return [
        row
        for row in seen.c.payroll_adjustments
        if row.id in bonuses and bonuses[row.id].amount_cents == row.amount_cents
    ]


def billed_orders(seen: Seen, status: str) -> Any:
    return [
        row
        for row in seen.c.inventory_bills
        if row.active
        and row.purchase_order_id in seen.orders
        and (seen.orders[row.purchase_order_id].status == "Canceled") is (status == "Canceled")
    ]


SALES_TRAPS: dict[str, Trap] = {
    "a sale weeks after the visit": lambda s: [
        sold for _, job, sold in s.sold() if job.completed and sold - job.completed > 21 * DAY
    ],
    "a sale on another day in UTC": lambda s: [
        sold for *_, sold in s.sold() if s.local(sold) != calendar_date(sold)
    ],
    "a sale in another week in UTC": lambda s: [x for *_, x in s.sold() if s.other_week(x)],
    "a request in another week in UTC": lambda s: [
        job for job in s.c.jobs if s.family(job) == "estimate" and s.other_week(job.created)
    ],
    "a completion in another week in UTC": lambda s: [
        job for job in s.c.jobs if job.completed and s.other_week(job.completed)
    ],
    "a canceled job with a completion": lambda s: [
        job for job in s.c.jobs if job.status == "Canceled" and job.completed
    ],
    "a sold estimate of a canceled job": lambda s: [
        row for row, job, _ in s.sold() if job.status == "Canceled"
    ],
    "a sold estimate of a production unit": lambda s: [
        row for row, job, _ in s.sold() if s.role(job.business_unit_id) == "PRODUCTION"
    ],
    "a sold estimate without a job": lambda s: [
        row for row in s.c.estimates if row.status == "Sold" and row.job_id is None
    ],
    "an inactive sold estimate": lambda s: [
        row for row in s.c.estimates if row.status == "Sold" and not row.active
    ],
    "an open estimate that kept its sale date": lambda s: [
        row for row in s.c.estimates if row.status == "Open" and row.sold
    ],
    "a completed estimate job without estimates": lambda s: [
        job
        for job in s.c.jobs
        if s.family(job) == "estimate" and job.status == "Completed" and not job.estimate_ids
    ],
    "sales below the threshold of the type": lambda s: [
        row
        for row, job, _ in s.sold()
        if row.subtotal_cents < (s.types[job.job_type_id].sold_threshold_cents or 0)
    ],
    "no charge on the job only": lambda s: [
        job for job in s.c.jobs if job.no_charge and not s.types[job.job_type_id].no_charge
    ],
    "no charge on the type only": lambda s: [
        job for job in s.c.jobs if job.no_charge is False and s.types[job.job_type_id].no_charge
    ],
    "no charge null on the job, true on the type": lambda s: [
        job for job in s.c.jobs if job.no_charge is None and s.types[job.job_type_id].no_charge
    ],
    "a test customer with an estimate job": lambda s: (
        {row.id for row in s.c.customers if "test" in row.name.lower()}
        & {job.customer_id for job in s.c.jobs if s.family(job) == "estimate"}
    ),
    "test in the middle of a word": lambda s: [
        row for row in s.c.customers if "reatest" in row.name or "ontest" in row.name
    ],
    "names with quotes and letters beyond ASCII": lambda s: [
        row for row in s.c.customers if not row.name.isascii() or '"' in row.name
    ],
}

VISIT_TRAPS: dict[str, Trap] = {
    "a visit moved by a canceled row and a new one": moved,
    "the first appointment is a canceled one": lambda s: [
        job
        for job in s.c.jobs
        if job.status == "Completed"
        and (visit := first_visit(s, job)) is not None
        and visit.status == "Canceled"
    ],
    "the first appointment is a deleted one": lambda s: [
        job for job in s.c.jobs if (visit := first_visit(s, job)) and not visit.active
    ],
    "the first appointment does not exist": lambda s: [
        job for job in s.c.jobs if job.first_appointment_id and not first_visit(s, job)
    ],
    "no appointment at all": lambda s: [
        job for job in s.c.jobs if job.first_appointment_id is None
    ],
    "a visit moved in place": lambda s: [
        row for row in s.c.appointments if row.modified != s.jobs[row.job_id].modified
    ],
    "a first visit in another week in UTC": lambda s: [
        job for job in s.c.jobs if (visit := first_visit(s, job)) and s.other_week(visit.start)
    ],
    "a visit after today": lambda s: [row for row in s.c.appointments if row.start > NOW],
    "several visits of one job": lambda s: [job for job in s.c.jobs if job.appointment_count > 1],
}

MONEY_TRAPS: dict[str, Trap] = {
    "a negative adjustment invoice": lambda s: [
        row for row in s.c.invoices if row.adjustment_to_id and row.subtotal_cents < 0
    ],
    "an invoice without a job": lambda s: [row for row in s.c.invoices if row.job_id is None],
    "an invoice without a unit": lambda s: [
        row for row in s.c.invoices if row.business_unit_id is None
    ],
    "an invoice without a change stamp": lambda s: [
        row for row in s.c.invoices if row.modified is None
    ],
    "an invoice on another unit than its job": lambda s: [
        row
        for row in s.c.invoices
        if row.job_id
        and s.role(row.business_unit_id) == "SALES"
        and s.role(s.jobs[row.job_id].business_unit_id) == "PRODUCTION"
    ],
    "money on a job on hold": lambda s: s.billed("Hold"),
    "money on a scheduled job": lambda s: s.billed("Scheduled"),
    "money on a job in progress": lambda s: s.billed("InProgress", "Dispatched"),
    "several invoices of one job": lambda s: [
        key for key, n in Counter(row.job_id for row in s.c.invoices).items() if key and n > 2
    ],
    "a material without a cost": lambda s: [
        row for row in s.c.invoices if any(item.total_cost_cents is None for item in row.items)
    ],
    "a fractional quantity": lambda s: [
        row for row in s.c.invoices if any(item.quantity % 100 for item in row.items)
    ],
    "a refund": lambda s: [
        row for row in s.c.payments if row.refunded_payment_id and row.total_cents < 0
    ],
    "one payment for several invoices": lambda s: [
        row for row in s.c.payments if len({line.invoice_id for line in row.applied_to}) > 1
    ],
    "two equal lines in one payment": lambda s: [
        row
        for row in s.c.payments
        if len(row.applied_to) == 2
        and row.applied_to[0].invoice_id == row.applied_to[1].invoice_id
        and row.applied_to[0].amount_cents == row.applied_to[1].amount_cents
    ],
    "a payment partly unapplied": lambda s: [
        row for row in s.c.payments if row.applied_to and row.unapplied_cents
    ],
    "a payment to an unknown invoice": lambda s: [
        row
        for row in s.c.payments
        if any(line.invoice_id not in s.invoices for line in row.applied_to)
    ],
    "a payment at midnight that is a calendar date": lambda s: [
        row for row in s.c.payments if row.date % DAY == 0
    ],
    "a payment instant in another week in UTC": lambda s: [
        row for row in s.c.payments if row.date % DAY and s.other_week(row.date)
    ],
    "a location that owes less than ten": lambda s: [x for x in s.owed().values() if 0 < x < 1000],
    "a location that is owed money": lambda s: [x for x in s.owed().values() if x < 0],
    "a credit memo without a location": lambda s: [
        row for row in s.c.credit_memos if row.balance_cents and row.location_id is None
    ],
    "a retired unit with money": lambda s: [
        row
        for row in s.c.invoices
        if row.business_unit_id
        and row.subtotal_cents > 0
        and not s.units[row.business_unit_id].active
    ],
}

COST_TRAPS: dict[str, Trap] = {
    "equal pay lines without ids": equal_pay,
    "pay lines with ids": lambda s: [row for row in s.c.gross_pay_items if row.id],
    "a job id of zero": lambda s: [row for row in s.c.gross_pay_items if row.job_id == 0],
    "a job id of null": lambda s: [row for row in s.c.gross_pay_items if row.job_id is None],
    "a corrected pay line": lambda s: [
        row for row in s.c.gross_pay_items if row.adjustment_cents and row.job_id
    ],
    "a salary that names a job": lambda s: [
        row for row in s.c.gross_pay_items if row.kind == "Salary" and row.job_id
    ],
    "an expense that names a job": lambda s: [
        row for row in s.c.gross_pay_items if row.kind == "Reimbursement" and row.job_id
    ],
    "the same bonus in two feeds": bonus_money,
    "a bill in place of its order": lambda s: billed_orders(s, "other"),
    "a bill of a canceled order": lambda s: billed_orders(s, "Canceled"),
    "a bill that differs from its order": lambda s: [
        row
        for row in billed_orders(s, "other")
        if row.amount_cents != s.orders[row.purchase_order_id].total_cents
    ],
    "a bill without an order": lambda s: [
        row for row in s.c.inventory_bills if row.purchase_order_id is None
    ],
    "a bill without stamps": lambda s: [
        row for row in s.c.inventory_bills if row.created is None and row.modified is None
    ],
    "a canceled order of a job": lambda s: [
        row for row in s.c.purchase_orders if row.status == "Canceled" and row.job_id
    ],
    "a pending order of a job": lambda s: [
        row for row in s.c.purchase_orders if row.status == "Pending" and row.job_id
    ],
    "an order without a job": lambda s: [row for row in s.c.purchase_orders if row.job_id is None],
    "a return": lambda s: [row for row in s.c.returns if row.status == "Returned"],
    "a canceled return": lambda s: [row for row in s.c.returns if row.status == "Canceled"],
    "warranty work that costs and earns nothing": lambda s: (
        {job.id for job in s.c.jobs if s.family(job) == "warranty" and not job.total_cents}
        & {row.job_id for row in s.c.gross_pay_items}
    ),
    "ids beyond two to the fifty-third": lambda s: [
        row for row in s.c.activity_codes if float(row.id) == 2.0**53 and row.id > 2**53
    ],
}
TRAPS = {**SALES_TRAPS, **VISIT_TRAPS, **MONEY_TRAPS, **COST_TRAPS}
WITH_ACTIVE = [
    "jobs",
    "appointments",
    "estimates",
    "invoices",
    "payments",
    "credit_memos",
    "gross_pay_items",
    "payrolls",
    "payroll_adjustments",
    "receipts",
    "inventory_bills",
    "returns",
    "customers",
    "locations",
    "business_units",
    "technicians",
    "job_types",
    "campaigns",
    "activity_codes",
    "materials",
    "payment_types",
]


@pytest.fixture(scope="module")
def seen(company: Company) -> Seen:
    return Seen(company)


@pytest.fixture(scope="module")
def seen_elsewhere() -> Seen:
    return Seen(generate_company(seed=11, scale=0.02))


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_the_trap_is_set(seen: Seen, trap: Trap) -> None:
    assert trap(seen)


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_the_trap_is_set_for_another_seed_and_scale(seen_elsewhere: Seen, trap: Trap) -> None:
    assert trap(seen_elsewhere)


@pytest.mark.parametrize("entity", WITH_ACTIVE)
def test_every_entity_has_inactive_rows(company: Company, entity: str) -> None:
    assert any(not row.active for row in getattr(company, entity))


def test_stamps_have_none_to_seven_fraction_digits(company: Company) -> None:
    digits = {len(iso(job.created).partition(".")[2].rstrip("Z")) for job in company.jobs}
    assert digits == set(range(8))


def test_changes_to_old_rows_arrive_late(company: Company) -> None:
    recent = midnight(company.last_day) - 60 * DAY
    old = midnight(date(2025, 1, 1))
    for rows in (company.jobs, company.estimates, company.invoices):
        assert any(row.created < old and (row.modified or 0) > recent for row in rows)


def test_no_recent_week_is_empty(seen: Seen) -> None:
    first = monday(seen.c.last_day) - timedelta(weeks=8)
    weeks = Counter(monday(seen.local(job.created)) for job in seen.c.jobs)
    assert all(weeks[first + timedelta(weeks=n)] > 0 for n in range(9))
