"""What the company billed and was paid: invoices, payments, credit memos."""

from __future__ import annotations

from itertools import count
from random import Random

from st_kpi.sandbox.clock import DAY, HOUR, MINUTE, SECOND
from st_kpi.sandbox.company import (
    Application,
    Company,
    CreditMemo,
    Invoice,
    InvoiceItem,
    Job,
    Payment,
)
from st_kpi.sandbox.history import in_production
from st_kpi.sandbox.reference import NOW, UTC_OFFSET
from st_kpi.sandbox.schedule import later, local_midnight, touched

UNKNOWN_INVOICE = 119_999_999


def write_money(company: Company, rng: Random, revenue: list[int], plan: dict[str, int]) -> None:
    """Fill invoices, payments and credit memos; `revenue` is the planned cents per job."""
    ledger = _Ledger(company, rng)
    ledger.bill(revenue, plan["invoices"])
    ledger.collect(plan["payments"])
    ledger.credit(plan["credit_memos"])


def calendar_day(instant: int) -> int:
    """Midnight Z of the local calendar date: how the API writes dates without a time."""
    return (instant - UTC_OFFSET) // DAY * DAY


class _Ledger:
    def __init__(self, company: Company, rng: Random) -> None:
        self.company = company
        self.rng = rng
        self.billed: list[tuple[Invoice, Job]] = []
        self._invoice_ids = count(120_000_000, 3)
        self._item_ids = count(500_000_000)
        self._payment_ids = count(160_000_000, 7)
        self._applied_ids = count(700_000_000)

    # Invoices

    def bill(self, revenue: list[int], wanted: int) -> None:
        rng = self.rng
        planned = dict.fromkeys((job.id for job in self.company.jobs), 0)
        planned.update((job.id, cents) for job, cents in in_production(self.company, revenue))
        for job in self.company.jobs:
            cents = planned[job.id]
            if not cents and (rng.random() < 0.03 or len(self.company.invoices) >= wanted - 4):
                continue
            if job.status == "Canceled" and rng.random() < 0.9:
                cents = 0
            invoice = self._invoice(job, cents, job.created + int(rng.random() * 3600) * SECOND)
            job.invoice_id, job.total_cents = invoice.id, cents + invoice.tax_cents
            if cents:
                self.billed.append((invoice, job))
        self._extra_invoices(wanted - len(self.company.invoices))

    def _invoice(self, job: Job, cents: int, created: int) -> Invoice:
        rng = self.rng
        tax = cents * 7 // 100 if rng.random() < 0.15 else 0
        invoice = Invoice(
            id=next(self._invoice_ids),
            subtotal_cents=cents,
            job_id=job.id,
            business_unit_id=job.business_unit_id,
            customer_id=job.customer_id,
            location_id=job.location_id,
            balance_cents=cents + tax,
            tax_cents=tax,
            day=calendar_day(job.completed or created),
            created=min(NOW, created),
            modified=touched(rng, max(created, job.completed or 0), 30),
            items=self._items(cents, sells=job.status != "Canceled"),
        )
        self.company.invoices.append(invoice)
        return invoice

    def _items(self, cents: int, sells: bool) -> tuple[InvoiceItem, ...]:
        rng = self.rng
        if not cents:
            return (self._item("Service", 0),) if sells and rng.random() < 0.5 else ()
        draw = rng.random()
        items = [self._item("Service", cents)]
        if draw < 0.45:
            material = self._item("Material", 0)
            material.sku_id = 40_000 + int(rng.random() * 400)
            material.quantity = 100 * (1 + int(rng.random() * 8)) + (50 if draw < 0.05 else 0)
            material.unit_cost_cents = 900 + 2 * int(rng.random() * 4_000)
            material.total_cost_cents = material.quantity * material.unit_cost_cents // 100
            items.append(material)
        if draw < 0.06:
            equipment = self._item("Equipment", 0)
            equipment.unit_cost_cents = equipment.total_cost_cents = 5_000 + int(draw * 100_000)
            items.append(equipment)
        if draw > 0.93:
            off = cents // 20
            items[0].total_cents = items[0].price_cents = cents + off
            items.append(self._item("PriceModifier", -off))
        return tuple(items)

    def _item(self, kind: str, cents: int) -> InvoiceItem:
        return InvoiceItem(next(self._item_ids), kind, 0, cents, price_cents=cents, sku_id=30_000)

    def _extra_invoices(self, missing: int) -> None:
        """Progress invoices, negative adjustments and invoices without a job, to the exact count."""
        rng = self.rng
        for n in range(missing):
            main, job = self.billed[int(rng.random() * len(self.billed))]
            created = later(rng, main.created + HOUR, 40)
            if n % 8 == 0:
                extra = self._invoice(job, 1_500 + int(rng.random() * 30_000), created)
                extra.job_id = None
                extra.configuration = ("MembershipInvoice", "CounterSales")[n // 8 % 2]
                paid = rng.random() < 0.85
                extra.balance_cents = 0 if paid else extra.balance_cents
            elif n % 2:
                off = main.subtotal_cents * int(2 + rng.random() * 25) // 100
                extra = self._invoice(job, -off, created)
                extra.items, extra.tax_cents = (self._item("Service", -off),), 0
                extra.adjustment_to_id = main.id
                extra.balance_cents = -off if rng.random() < 0.1 else 0
            else:
                share = main.subtotal_cents * int(10 + rng.random() * 40) // 100
                extra = self._invoice(job, share, created)
                if job.status != "Canceled":
                    self.billed.append((extra, job))

    # Payments

    def collect(self, wanted: int) -> None:
        rng = self.rng
        shares = [self._instalments(job) for _, job in self.billed]
        missing = wanted - len(self.company.payments) - sum(shares)
        while missing:
            n = int(rng.random() * len(shares))
            step = 1 if missing > 0 else -1
            if 0 <= shares[n] + step <= 9 and (step > 0 or shares[n] > 1 or rng.random() < 0.02):
                shares[n] += step
                missing -= step
        for n, ((invoice, job), times) in enumerate(zip(self.billed, shares, strict=True)):
            self._pay_off(invoice, job, times, self.billed[n - 1][0])

    def _instalments(self, job: Job) -> int:
        draw = self.rng.random()
        if job.status != "Completed":
            return int(draw < 0.35)
        return 0 if draw < 0.03 else 2 if draw > 0.9 else 1

    def _pay_off(self, invoice: Invoice, job: Job, times: int, neighbour: Invoice) -> None:
        rng = self.rng
        done = job.completed or job.created + int(rng.random() * 5) * DAY
        for part in range(times):
            left = times - part
            whole = left == 1 and job.status == "Completed" and rng.random() > 0.02
            cents = invoice.balance_cents if whole else invoice.balance_cents // (left + 1)
            day = done + int(rng.random() * rng.random() * 75) * DAY
            day = min(NOW, day if left == 1 else job.created + int(rng.random() * 6) * DAY)
            self._payment(invoice, cents, day, neighbour)

    def _payment(self, invoice: Invoice, cents: int, day: int, neighbour: Invoice) -> None:
        rng = self.rng
        draw = rng.random()
        lines = [self._apply(invoice, cents, day)]
        unapplied = 0
        if draw < 0.02 and neighbour.balance_cents > 0:
            lines.append(self._apply(neighbour, neighbour.balance_cents, day))
        elif draw < 0.03:
            half = cents // 2
            lines = [self._apply(invoice, half, day), self._apply(invoice, half, day)]
            invoice.balance_cents += cents
        elif draw < 0.045:
            unapplied = 5_000 + int(rng.random() * 60_000)
        elif draw < 0.05:
            lines, unapplied = [], cents
            invoice.balance_cents += cents
        elif draw < 0.053:
            lines.append(Application(next(self._applied_ids), UNKNOWN_INVOICE, 2_500, day))
        payment = Payment(
            id=next(self._payment_ids),
            total_cents=sum(line.amount_cents or 0 for line in lines) + unapplied,
            date=calendar_day(day) if rng.random() < 0.8 else self._moment(day),
            applied_to=tuple(lines),
            unapplied_cents=unapplied,
            customer_id=invoice.customer_id,
            business_unit_id=invoice.business_unit_id if draw < 0.9 else None,
            type_id=900 + int(rng.random() * 6),
            created=min(NOW, day + int(rng.random() * 600) * MINUTE),
        )
        payment.modified = touched(rng, payment.created, 5)
        if draw > 0.99:
            self._turn_into_refund(payment, invoice)
        payment.active = not 0.98 < draw < 0.984
        self.company.payments.append(payment)

    def _apply(self, invoice: Invoice, cents: int, day: int) -> Application:
        invoice.balance_cents -= cents
        if not invoice.balance_cents:
            invoice.paid_day = calendar_day(day)
        return Application(next(self._applied_ids), invoice.id, cents, day)

    def _turn_into_refund(self, payment: Payment, invoice: Invoice) -> None:
        """Give money back for an earlier payment instead of taking it; the invoice stays settled."""
        if not self.company.payments:
            return
        source = self.company.payments[-1]
        back = -min(payment.total_cents, 25_000)
        payment.applied_to = (
            Application(payment.applied_to[0].id, invoice.id, back, payment.date),
        )
        payment.total_cents, payment.unapplied_cents = back, 0
        payment.refunded_payment_id = source.id

    def _moment(self, day: int) -> int:
        """A time of day within the local day, one in five beside midnight."""
        start = local_midnight(day)
        edge = self.rng.random()
        second = 86_399 if edge < 0.1 else 0 if edge < 0.2 else 25_200 + int(edge * 50_000)
        return min(NOW - SECOND, start + second * SECOND)

    # Credit memos

    def credit(self, wanted: int) -> None:
        rng = self.rng
        for n in range(wanted):
            invoice, _ = self.billed[int(rng.random() * len(self.billed))]
            total = 1_000 + int(rng.random() * 40_000)
            used = total if n % 3 else int(total * rng.random())
            lines = [Application(next(self._applied_ids), invoice.id, used, invoice.created)]
            created = later(rng, invoice.created, 90)
            self.company.credit_memos.append(
                CreditMemo(
                    id=180_000_000 + 3 * n,
                    balance_cents=total - used,
                    total_cents=total,
                    day=calendar_day(created),
                    applied_to=tuple(lines) if used else (),
                    customer_id=invoice.customer_id,
                    location_id=invoice.location_id if rng.random() < 0.9 else None,
                    business_unit_id=invoice.business_unit_id if rng.random() < 0.8 else None,
                    created=created,
                    modified=touched(rng, created, 30),
                    active=rng.random() > 0.03,
                )
            )
