"""A day of money: invoices made, edited and deleted; payments taken, applied and voided."""

from __future__ import annotations

from st_kpi.sandbox.company import Application, CreditMemo, Invoice, InvoiceItem, Job, Payment
from st_kpi.sandbox.diary import Diary
from st_kpi.sandbox.money import calendar_day


class Money:
    """Each public method is one event; an invoice's balance follows every line applied to it."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.company = diary.company

    # Invoices

    def bill(self, job: Job, cents: int) -> Invoice:
        """The first invoice of a job."""
        tax = cents * 7 // 100 if self.diary.chance(0.15) else 0
        row = self._invoice(job, cents, tax)
        job.invoice_id, job.total_cents = row.id, cents + tax
        return row

    def bill_progress(self) -> None:
        """One more invoice for an old job: a progress bill, or a negative adjustment."""
        diary = self.diary
        main = diary.pick(self.company.invoices, self._of_a_job)
        job = diary.jobs.get(main.job_id or 0) if main else None
        if main is None or job is None:
            return
        cents = main.subtotal_cents * diary.between(5, 30) // 100
        if diary.chance(0.4):
            self._invoice(job, -cents, 0).adjustment_to_id = main.id
        else:
            self._invoice(job, cents, 0)
        job.total_cents = (job.total_cents or 0) + self.company.invoices[-1].subtotal_cents
        diary.change("jobs", job)

    def bill_without_stamp(self) -> None:
        """An invoice whose change stamp is null: no feed and no filter by change time shows it."""
        diary = self.diary
        job = diary.pick(self.company.jobs, lambda row: row.active)
        if job is not None:
            self._invoice(job, diary.between(100, 900) * 100, 0).modified = None

    def edit(self) -> None:
        """An old invoice gets one more line, or its discount; the job's total follows."""
        diary = self.diary
        row = diary.pick(self.company.invoices, self._of_a_job)
        if row is None:
            return
        cents = diary.between(-200, 900) * 100
        row.items = (*row.items, self._item("Service" if cents > 0 else "PriceModifier", cents))
        row.subtotal_cents += cents
        row.balance_cents += cents
        diary.change("invoices", row)
        job = diary.jobs.get(row.job_id or 0)
        if job is not None:
            job.total_cents = (job.total_cents or 0) + cents
            diary.change("jobs", job)

    def settle_up(self, job: Job) -> None:
        """The invoice of a finished job gets its day and its materials."""
        row = self.diary.invoices.get(job.invoice_id or 0)
        if row is not None and row.active:
            row.day = calendar_day(self.diary.now)
            row.items = (*row.items, self._material())
            self.diary.change("invoices", row)

    def delete_invoice(self) -> None:
        """An invoice is deleted, with the money on it."""
        row = self.diary.pick(self.company.invoices, lambda row: row.active)
        if row is not None:
            self.diary.deactivate("invoices", row)

    def _of_a_job(self, row: Invoice) -> bool:
        return row.active and row.job_id is not None and row.subtotal_cents > 0

    def _invoice(self, job: Job, cents: int, tax: int) -> Invoice:
        diary = self.diary
        row = Invoice(
            id=diary.new_id("invoices"),
            subtotal_cents=cents,
            job_id=job.id,
            business_unit_id=job.business_unit_id,
            customer_id=job.customer_id,
            location_id=job.location_id,
            balance_cents=cents + tax,
            tax_cents=tax,
            day=calendar_day(diary.now),
            items=(self._item("Service", cents),) if cents else (),
        )
        diary.add("invoices", row)
        diary.invoices[row.id] = row
        return row

    def _item(self, kind: str, cents: int) -> InvoiceItem:
        key = self.diary.new_id("invoice_items", 1)
        return InvoiceItem(key, kind, 0, cents, price_cents=cents, sku_id=30_000)

    def _material(self) -> InvoiceItem:
        item = self._item("Material", 0)
        item.sku_id = 40_000 + self.diary.between(0, 399)
        item.unit_cost_cents = 900 + self.diary.between(0, 8_000)
        item.quantity = 100 * self.diary.between(1, 8)
        item.total_cost_cents = item.quantity * item.unit_cost_cents // 100
        return item

    # Payments

    def take(self) -> None:
        """A payment for an open invoice, whole or in part, sometimes with money left over."""
        diary = self.diary
        bill = diary.pick(self.company.invoices, _open)
        if bill is None:
            return
        cents = bill.balance_cents if diary.chance(0.7) else bill.balance_cents // 2 + 1
        over = diary.between(10, 400) * 100 if diary.chance(0.1) else 0
        row = Payment(
            id=diary.new_id("payments", 7),
            total_cents=cents + over,
            date=calendar_day(diary.now) if diary.chance(0.8) else diary.now,
            applied_to=(self._apply(bill, cents),),
            unapplied_cents=over,
            customer_id=bill.customer_id,
            business_unit_id=bill.business_unit_id,
            type_id=900 + diary.between(0, 5),
        )
        diary.add("payments", row)

    def refund(self) -> None:
        """Money goes back; the invoice owes it again."""
        diary = self.diary
        source = diary.pick(self.company.payments, _plain)
        bill = diary.invoices.get(source.applied_to[0].invoice_id) if source else None
        if source is None or bill is None:
            return
        cents = -min(source.total_cents, 150_00)
        row = Payment(
            id=diary.new_id("payments", 7),
            total_cents=cents,
            date=calendar_day(diary.now),
            applied_to=(self._apply(bill, cents),),
            customer_id=source.customer_id,
            business_unit_id=source.business_unit_id,
            type_id=source.type_id,
            refunded_payment_id=source.id,
        )
        diary.add("payments", row)

    def apply_rest(self) -> None:
        """Money of an old payment that was on no invoice goes to an open one."""
        diary = self.diary
        row = diary.pick(
            self.company.payments, lambda row: row.active and (row.unapplied_cents or 0) > 0
        )
        bill = diary.pick(self.company.invoices, _open)
        if row is None or bill is None:
            return
        cents = min(row.unapplied_cents or 0, bill.balance_cents)
        row.applied_to = (*row.applied_to, self._apply(bill, cents))
        row.unapplied_cents = (row.unapplied_cents or 0) - cents
        diary.change("payments", row)

    def void(self) -> None:
        """A payment is deleted; what it had paid is owed again."""
        diary = self.diary
        row = diary.pick(self.company.payments, _plain)
        if row is None:
            return
        diary.deactivate("payments", row)
        for line in row.applied_to:
            bill = diary.invoices.get(line.invoice_id)
            if bill is not None:
                self._owe(bill, line.amount_cents or 0)

    def _apply(self, bill: Invoice, cents: int) -> Application:
        self._owe(bill, -cents)
        key = self.diary.new_id("applications", 1)
        return Application(key, bill.id, cents, self.diary.now)

    def _owe(self, bill: Invoice, cents: int) -> None:
        bill.balance_cents += cents
        bill.paid_day = None if bill.balance_cents else calendar_day(self.diary.now)
        self.diary.change("invoices", bill)

    # Credit memos

    def credit(self) -> None:
        """A new credit memo, not yet used."""
        diary = self.diary
        bill = diary.pick(self.company.invoices, self._of_a_job)
        if bill is None:
            return
        cents = diary.between(10, 400) * 100
        row = CreditMemo(
            id=diary.new_id("credit_memos"),
            balance_cents=cents,
            total_cents=cents,
            day=calendar_day(diary.now),
            customer_id=bill.customer_id,
            location_id=bill.location_id,
            business_unit_id=bill.business_unit_id,
        )
        diary.add("credit_memos", row)

    def use_credit(self) -> None:
        """A credit memo pays a part of an open invoice."""
        diary = self.diary
        row = diary.pick(
            self.company.credit_memos, lambda row: row.active and row.balance_cents > 0
        )
        bill = diary.pick(self.company.invoices, _open)
        if row is None or bill is None:
            return
        cents = min(row.balance_cents, bill.balance_cents)
        row.applied_to = (*row.applied_to, self._apply(bill, cents))
        row.balance_cents -= cents
        diary.change("credit_memos", row)


def _open(row: Invoice) -> bool:
    return row.active and row.balance_cents > 0


def _plain(row: Payment) -> bool:
    return row.active and row.total_cents > 0 and bool(row.applied_to)
