"""The books themselves, proved by the worked examples of the KPI definitions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from st_kpi.sandbox import Books, BookValue, Company
from st_kpi.sandbox.clock import ticks
from st_kpi.sandbox.company import (
    Application,
    Appointment,
    BusinessUnit,
    CreditMemo,
    Customer,
    Estimate,
    GrossPayItem,
    InventoryBill,
    Invoice,
    InvoiceItem,
    Job,
    JobType,
    Location,
    Payment,
    PurchaseOrder,
    Return,
)

WEEK = date(2025, 1, 6)
AS_OF = date(2025, 1, 8)
SALES, CREW, WEST = 1, 2, 3
EXTERIOR, CABINETS, WORK, WARRANTY, WASHING = 11, 12, 21, 22, 23


def at(text: str) -> int:
    """An instant: `01-06 16:00` is in 2025, longer texts carry their year."""
    return ticks(f"2025-{text}".replace(" ", "T") if len(text) <= 11 else text.replace(" ", "T"))


def blank() -> Company:
    return Company(
        business_units=[
            BusinessUnit(SALES, "East Sales", "EAST", "SALES"),
            BusinessUnit(CREW, "East Production", "EAST", "PRODUCTION"),
            BusinessUnit(WEST, "West Production", "WEST", "PRODUCTION"),
        ],
        job_types=[
            JobType(EXTERIOR, "ESTIMATE -RES-EXT", "estimate"),
            JobType(CABINETS, "Estimate- Cabinets", "estimate"),
            JobType(WORK, "RES-EXT", "production"),
            JobType(WARRANTY, "Warranty", "warranty"),
            JobType(WASHING, "Window/Solar Washing", "excluded"),
        ],
    )


def values(company: Company, as_of: date = AS_OF) -> Callable[[str, str], BookValue | None]:
    cells = Books(company).weekly(as_of)
    return lambda kpi, rollup="EAST": cells.get((kpi, WEEK, rollup))  # type: ignore[misc]


def amount(cell: BookValue | None) -> Decimal | None:
    return cell.value if cell else None


# Sales


def sales_company() -> Company:
    company = blank()
    company.customers = [Customer(n, f"Customer {n} Sample") for n in range(1, 10)]
    company.customers.append(Customer(99, "The Greatest Homes"))

    def job(key: int, customer: int, status: str, created: str, done: str | None) -> Job:
        completed = at(done) if done else None
        return Job(key, SALES, EXTERIOR, status, at(created), customer, completed=completed)

    company.jobs = [
        job(1, 1, "Completed", "01-06 16:00", "01-08 18:00"),
        job(2, 1, "Scheduled", "01-07 17:00", None),
        job(3, 2, "Canceled", "01-09 20:00", "01-10 20:00"),
        job(4, 3, "Completed", "01-13 06:30", "01-14 18:00"),
        replace(job(5, 99, "Completed", "01-08 16:00", "01-08 18:00"), no_charge=True),
        Job(6, CREW, WORK, "Completed", at("01-07 16:00"), 5, completed=at("01-09 18:00")),
        job(7, 6, "Completed", "01-06 05:00", "01-10 18:00"),
        job(8, 7, "Completed", "2024-12-20 18:00", "2024-12-23 18:00"),
        replace(job(9, 8, "Completed", "01-07 16:00", "01-09 18:00"), no_charge=True),
        replace(job(10, 9, "Completed", "2024-07-02 18:00", "2024-07-03 18:00"), job_type_id=12),
    ]
    company.estimates = [
        Estimate(1, 1, "Sold", 5_000_00, at("01-10 01:30")),
        Estimate(2, 1, "Sold", 700_00, at("01-11 18:00")),
        Estimate(3, 1, "Open", 5_500_00),
        Estimate(4, 7, "Open", 3_000_00),
        Estimate(5, 8, "Sold", 2_000_00, at("01-08 18:00")),
        Estimate(6, 8, "Sold", 4_000_00, at("2024-12-24 18:00")),
        Estimate(7, 10, "Sold", 1_500_00, at("01-13 06:59")),
        Estimate(8, 3, "Dismissed", 800_00),
        Estimate(10, None, "Sold", 999_00, at("01-08 18:00")),
        Estimate(11, 6, "Sold", 400_00, at("01-08 18:00")),
    ]
    return company


SALES_EXAMPLES = {
    "leads: every status, no test customer, local days": ("leads", "5"),
    "estimates: completed ones, the test customer's too": ("estimates", "4"),
    "total booked: by soldOn in local time, sales jobs only": ("total_booked", "9200"),
    "closed average: all sold money of what closed": ("closed_average_sale", "3600"),
}


@pytest.mark.parametrize(("kpi", "right"), SALES_EXAMPLES.values(), ids=SALES_EXAMPLES)
def test_sales_examples(kpi: str, right: str) -> None:
    assert amount(values(sales_company())(kpi, "EAST")) == Decimal(right)


def test_success_rate_is_two_of_three() -> None:
    cell = values(sales_company())("success_rate", "EAST")
    assert cell == BookValue(Decimal(2), Decimal(3))


def test_a_sale_in_the_next_week_takes_the_open_opportunity_out_of_this_one() -> None:
    company = sales_company()
    company.estimates[3].status, company.estimates[3].sold = "Sold", at("01-15 18:00")
    assert values(company)("success_rate", "EAST") == BookValue(Decimal(2), Decimal(2))


def test_a_threshold_that_is_missed_leaves_the_job_open_in_its_own_week() -> None:
    company = sales_company()
    company.job_types[1].sold_threshold_cents = 2_000_00
    look = values(company)
    assert look("success_rate", "EAST") == BookValue(Decimal(1), Decimal(2))
    assert amount(look("total_booked", "EAST")) == Decimal(9200)


NO_CHARGE = {
    "null on the job: the type says": (None, True, None),
    "false on the job is its own word": (False, True, Decimal(1)),
    "true on the job wins over the type": (True, False, None),
    "neither says so": (None, None, Decimal(1)),
}


@pytest.mark.parametrize(("own", "of_type", "opportunities"), NO_CHARGE.values(), ids=NO_CHARGE)
def test_no_charge(own: bool | None, of_type: bool | None, opportunities: Decimal | None) -> None:
    company = blank()
    company.job_types[0].no_charge = of_type
    done = Job(1, SALES, EXTERIOR, "Completed", at("01-07 16:00"), completed=at("01-07 18:00"))
    company.jobs = [replace(done, no_charge=own)]
    cell = values(company)("success_rate", "EAST")
    assert (cell.denominator if cell else None) == opportunities


NOT_SOLD = {
    "inactive": {"active": False},
    "open, though it carries a date": {"status": "Open"},
    "without a date": {"sold": None},
    "without a job": {"job_id": None},
}


@pytest.mark.parametrize("change", NOT_SOLD.values(), ids=NOT_SOLD)
def test_estimates_that_are_not_sold(change: dict[str, object]) -> None:
    company = sales_company()
    company.estimates = [replace(company.estimates[0], **change)]  # type: ignore[arg-type]
    assert values(company)("total_booked", "EAST") is None


def test_a_deleted_job_takes_all_its_rows_with_it() -> None:
    company = sales_company()
    for job in company.jobs:
        job.active = False
    assert Books(company).weekly(AS_OF) == {}


def test_estimates_scheduled() -> None:
    company = blank()
    for key, status in ((1, "Scheduled"), (2, "Canceled"), (3, "Scheduled"), (4, "Scheduled")):
        company.jobs.append(Job(key, SALES, EXTERIOR, status, at("2024-12-20 18:00")))
    company.appointments = [
        Appointment(1, 1, at("01-07 17:00")),
        Appointment(2, 2, at("01-08 17:00")),
        Appointment(3, 3, at("01-02 17:00"), status="Canceled"),
        Appointment(4, 3, at("01-09 17:00")),
        Appointment(5, 4, at("01-13 06:00")),
    ]
    assert amount(values(company)("estimates_scheduled", "EAST")) == Decimal(3)


# Production


def production_company() -> Company:
    company = blank()

    def job(key: int, kind: int, status: str, first: str | None) -> Job:
        row = Job(key, CREW, kind, status, at("2024-12-20 18:00"), first_appointment_id=key)
        if first:
            company.appointments.append(Appointment(key, key, at(first)))
        return row

    company.jobs = [
        job(1, WORK, "Completed", "01-06 15:00"),
        job(2, WORK, "Scheduled", "01-08 15:00"),
        job(3, WORK, "Canceled", "01-07 15:00"),
        job(4, WORK, "Hold", "01-09 15:00"),
        job(5, WORK, "Completed", "01-03 15:00"),
        replace(job(6, WORK, "Completed", None), completed=at("01-10 20:00")),
        job(7, WARRANTY, "Completed", "01-07 15:00"),
        job(8, WASHING, "Completed", "01-10 15:00"),
    ]
    company.invoices = [
        Invoice(1, 1_000_00, 1, items=(InvoiceItem(1, "Material", 15_00, unit_cost_cents=5_00),)),
        Invoice(2, -200_00, 1, adjustment_to_id=1),
        Invoice(3, 3_000_00, 2),
        Invoice(4, 500_00, 4),
        Invoice(5, 700_00, 5),
        Invoice(6, 400_00, 6),
        Invoice(8, 200_00, 8),
        Invoice(9, 9_999_00, 1, active=False),
    ]
    pay = [(1, 125), (1, 125), (1, 50), (2, 1200), (6, 150), (7, 150), (8, 60)]
    company.gross_pay_items = [
        GrossPayItem(n, "TimesheetTime", dollars * 100, at("01-08 00:00"), job_id)
        for n, (job_id, dollars) in enumerate(pay)
    ]
    company.purchase_orders = [
        PurchaseOrder(1, "Received", 120_00, 1),
        PurchaseOrder(2, "Canceled", 999_00, 1),
        PurchaseOrder(3, "Pending", 300_00, 2),
    ]
    company.inventory_bills = [
        InventoryBill(1, 130_00, 1, purchase_order_id=1),
        InventoryBill(2, 999_00, 1, purchase_order_id=2),
    ]
    company.returns = [Return(1, 20_00, job_id=1), Return(2, 70_00, "Canceled", job_id=1)]
    return company


def test_production_examples() -> None:
    look = values(production_company())
    assert amount(look("produced", "EAST")) == Decimal(4900)
    assert look("gpm", "EAST") == BookValue(Decimal(4900 - 2285), Decimal(4900))
    assert look("warranty_pct", "EAST") == BookValue(Decimal(150), Decimal(4900))
    assert round(look("gpm", "EAST").value * 100, 2) == Decimal("53.37")  # type: ignore[union-attr, operator]
    assert round(look("warranty_pct", "EAST").value * 100, 2) == Decimal("3.06")  # type: ignore[union-attr, operator]


def test_loading_pay_lines_apart_does_not_merge_equal_ones() -> None:
    company = production_company()
    assert company.gross_pay_items[0].amount_cents == company.gross_pay_items[1].amount_cents
    company.gross_pay_items.pop(0)
    assert values(company)("gpm", "EAST") == BookValue(Decimal(4900 - 2160), Decimal(4900))


PAY_LINES = {
    "labour": ("TimesheetTime", 1, None, "100"),
    "commission": ("InvoiceRelatedBonus", 1, None, "100"),
    "adjustment": ("CustomBonus", 1, None, "100"),
    "salary that names a job": ("Salary", 1, None, "0"),
    "expense that names a job": ("Reimbursement", 1, None, "0"),
    "corrected": ("TimesheetTime", 1, -30_00, "70"),
    "no job, as zero": ("TimesheetTime", 0, None, "0"),
    "no job, as null": ("TimesheetTime", None, None, "0"),
}


@pytest.mark.parametrize(("kind", "job", "plus", "cost"), PAY_LINES.values(), ids=PAY_LINES)
def test_pay_that_counts(kind: str, job: int | None, plus: int | None, cost: str) -> None:
    company = production_company()
    company.gross_pay_items = [GrossPayItem(0, kind, 100_00, at("01-08 00:00"), job, plus)]
    company.inventory_bills, company.purchase_orders, company.returns = [], [], []
    company.invoices = [Invoice(1, 1_000_00, 1)]
    assert values(company)("gpm", "EAST") == BookValue(1000 - Decimal(cost), Decimal(1000))


FIRST_APPOINTMENTS = {
    "the named one, even when canceled": (1, "Canceled", True, WEEK),
    "deleted: the earliest other one": (1, "Scheduled", False, date(2025, 1, 13)),
    "missing: the earliest that is not canceled": (77, "Canceled", True, date(2025, 1, 13)),
    "missing: the earliest": (77, "Scheduled", True, WEEK),
}


@pytest.mark.parametrize(
    ("named", "status", "active", "week"), FIRST_APPOINTMENTS.values(), ids=FIRST_APPOINTMENTS
)
def test_first_appointment(named: int, status: str, active: bool, week: date) -> None:
    company = blank()
    company.jobs = [Job(1, CREW, WORK, "Hold", at("01-02 18:00"), first_appointment_id=named)]
    company.appointments = [
        Appointment(1, 1, at("01-07 15:00"), status=status, active=active),
        Appointment(2, 1, at("01-15 15:00")),
    ]
    company.invoices = [Invoice(1, 100_00, 1)]
    assert ("produced", week, "EAST") in Books(company).weekly(AS_OF)


def test_future_bookings() -> None:
    company = production_company()
    company.jobs += [
        Job(20, CREW, WORK, "Scheduled", at("01-02 18:00"), first_appointment_id=20),
        Job(21, CREW, WORK, "Scheduled", at("01-02 18:00"), first_appointment_id=30),
    ]
    company.appointments += [Appointment(20 + n, 20, at(f"02-0{3 + n} 15:00")) for n in range(3)]
    company.appointments.append(Appointment(30, 21, at("2026-02-02 15:00")))
    company.invoices += [Invoice(20, 4_000_00, 20), Invoice(21, 5_000_00, 21)]
    assert amount(values(company)("future_bookings", "EAST")) == Decimal(8300)


EDGES = {
    "Monday 00:00 local is in": ("2025-01-06 07:00", True),
    "one second before is out": ("2025-01-06 06:59:59", False),
    "the last second a year later is in": ("2026-01-09 06:59:59", True),
    "the next day is out": ("2026-01-09 07:00", False),
}


@pytest.mark.parametrize(("start", "counts"), EDGES.values(), ids=EDGES)
def test_edges_of_future_bookings(start: str, counts: bool) -> None:
    company = blank()
    company.jobs = [Job(1, CREW, WORK, "Hold", at("01-02 18:00"), first_appointment_id=1)]
    company.appointments = [Appointment(1, 1, at(start))]
    company.invoices = [Invoice(1, 100_00, 1)]
    assert (values(company)("future_bookings", "EAST") is not None) is counts


# Money received and owed


def test_collected() -> None:
    company = blank()
    company.invoices = [Invoice(n, 0, business_unit_id=n) for n in (SALES, CREW, WEST)]
    company.invoices.append(Invoice(4, 0))
    day = at("01-08 00:00")

    def payment(*lines: tuple[int, int], unapplied: int = 0, when: int = day) -> Payment:
        applied = tuple(Application(n, bill, cents * 100) for n, (bill, cents) in enumerate(lines))
        return Payment(1, 0, when, applied, unapplied * 100)

    company.payments = [
        payment((CREW, 600), (WEST, 400)),
        payment((CREW, -250)),
        payment((CREW, 100)),
        payment((CREW, 100)),
        payment((SALES, 500)),
        payment(unapplied=300),
        payment((4, 7), (99, 8)),
        replace(payment((CREW, 5_000)), active=False),
    ]
    look = values(company)
    assert amount(look("collected", "EAST")) == Decimal(550)
    assert amount(look("collected", "WEST")) == Decimal(400)
    assert amount(look("collected", "(unassigned)")) == Decimal(315)


PAYMENT_DATES = {
    "midnight Z is a calendar date": ("2025-01-06 00:00:00", WEEK),
    "an instant is shifted to the local day": ("2025-01-06 00:00:01", date(2024, 12, 30)),
    "the last local second of the week": ("2025-01-13 06:59:59", WEEK),
}


@pytest.mark.parametrize(("when", "week"), PAYMENT_DATES.values(), ids=PAYMENT_DATES)
def test_payment_dates(when: str, week: date) -> None:
    company = blank()
    company.invoices = [Invoice(1, 0, business_unit_id=CREW)]
    company.payments = [Payment(1, 100, at(when), (Application(1, 1, 100),))]
    assert list(Books(company).weekly(AS_OF)) == [("collected", week, "EAST")]


def owed_company() -> Company:
    company = blank()
    company.jobs = [
        Job(1, CREW, WORK, "Completed", at("01-02 18:00"), completed=at("01-03 18:00")),
        Job(2, CREW, WORK, "Scheduled", at("01-02 18:00"), first_appointment_id=1),
    ]
    company.appointments = [Appointment(1, 2, at("01-09 15:00"))]
    company.locations = [Location(n, 50) for n in (5, 1, 2, 3, 4)]

    def invoice(key: int, place: int, cents: int, job: int | None = 1) -> Invoice:
        return Invoice(key, cents, job, CREW, 50, place, balance_cents=cents)

    company.invoices = [
        invoice(1, 1, 400_00),
        invoice(2, 2, 9_50),
        invoice(3, 3, 5_000_00, job=2),
        invoice(4, 4, 100_00, job=None),
    ]
    company.credit_memos = [
        CreditMemo(1, 100_00, location_id=1),
        CreditMemo(2, 300_00, location_id=4, business_unit_id=CREW),
    ]
    return company


def test_outstanding_per_location() -> None:
    assert amount(values(owed_company())("outstanding_ar", "EAST")) == Decimal(300)


def test_a_job_that_starts_on_the_day_itself_is_owed() -> None:
    later = Books(owed_company()).weekly(date(2025, 1, 9))
    assert later["outstanding_ar", WEEK, "EAST"].value == Decimal(5300)


OWED = {
    "no job": ({"job_id": None}, {}, True),
    "a job that does not exist is a deleted one": ({"job_id": 77}, {}, False),
    "a deleted job": ({}, {"active": False}, False),
    "a canceled job": ({}, {"status": "Canceled", "first_appointment_id": 2}, True),
    "no appointment, completed": ({}, {}, True),
    "no appointment, not completed": ({}, {"status": "Hold"}, False),
    "an inactive invoice": ({"active": False}, {}, False),
    "no location": ({"location_id": None}, {}, False),
    "a sales unit": ({"business_unit_id": SALES}, {}, False),
    "exactly ten": ({"balance_cents": 10_00}, {}, True),
    "a cent less": ({"balance_cents": 9_99}, {}, False),
}


@pytest.mark.parametrize(("of_invoice", "of_job", "counts"), OWED.values(), ids=OWED)
def test_what_is_owed(
    of_invoice: dict[str, object], of_job: dict[str, object], counts: bool
) -> None:
    company = owed_company()
    company.credit_memos = []
    company.jobs[0] = replace(company.jobs[0], **of_job)  # type: ignore[arg-type]
    company.appointments.append(Appointment(2, 1, at("01-07 15:00"), status="Canceled"))
    company.invoices = [replace(company.invoices[0], **of_invoice)]  # type: ignore[arg-type]
    if of_job.get("status") != "Canceled":
        company.appointments.pop()
    assert (values(company)("outstanding_ar", "EAST") is not None) is counts


CREDITS = {
    "own unit": ({"business_unit_id": WEST}, "400", "-30"),
    "no unit: that of the oldest open invoice": ({}, "370", None),
    "sales unit: left out": ({"business_unit_id": SALES}, "400", None),
    "no location: that of the first invoice": (
        {"location_id": None, "applied_to": (Application(1, 1, 5),)},
        "370",
        None,
    ),
    "no location, no invoice: the customer's lowest": (
        {"location_id": None, "customer_id": 50},
        "370",
        None,
    ),
    "no location to be found: left out": ({"location_id": None}, "400", None),
    "inactive": ({"active": False}, "400", None),
}


@pytest.mark.parametrize(("change", "east", "west"), CREDITS.values(), ids=CREDITS)
def test_where_a_credit_goes(change: dict[str, object], east: str, west: str | None) -> None:
    company = owed_company()
    company.invoices = company.invoices[:1]
    memo = CreditMemo(1, 30_00, location_id=1)
    company.credit_memos = [replace(memo, **change)]  # type: ignore[arg-type]
    look = values(company)
    assert amount(look("outstanding_ar", "EAST")) == Decimal(east)
    assert amount(look("outstanding_ar", "WEST")) == (Decimal(west) if west else None)


def test_an_unapplied_payment_lowers_the_balance_of_its_first_location() -> None:
    company = owed_company()
    company.credit_memos = []
    lines = (Application(9, 2, 1), Application(8, 1, 1))
    company.payments = [Payment(1, 2, at("01-08 00:00"), lines, unapplied_cents=50_00)]
    assert amount(values(company)("outstanding_ar", "EAST")) == Decimal(450)


def test_nothing_is_cut_and_empty_cells_are_absent(company: Company) -> None:
    cells = Books(company).weekly(company.last_day)
    assert {key[0] for key in cells} == {
        "closed_average_sale",
        "collected",
        "estimates",
        "estimates_scheduled",
        "future_bookings",
        "gpm",
        "leads",
        "outstanding_ar",
        "produced",
        "success_rate",
        "total_booked",
        "warranty_pct",
    }
    assert all(cell.numerator or cell.denominator for cell in cells.values())
    assert all(week.weekday() == 0 for _, week, _ in cells)
    snapshots = {week for kpi, week, _ in cells if kpi in ("future_bookings", "outstanding_ar")}
    assert snapshots == {date(2025, 10, 20)}
