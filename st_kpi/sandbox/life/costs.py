"""A day of costs: hours worked and recomputed, goods ordered, received, billed and sent back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from st_kpi.sandbox.clock import DAY, HOUR, ticks
from st_kpi.sandbox.company import (
    GrossPayItem,
    InventoryBill,
    Job,
    Payroll,
    PayrollAdjustment,
    PurchaseItem,
    PurchaseOrder,
    Receipt,
    Return,
)
from st_kpi.sandbox.diary import Diary
from st_kpi.sandbox.money import calendar_day

_A_PERIOD_STARTED = ticks("2019-12-30T07:00:00Z")
_PERIOD = 14 * DAY
_PAINTING, _BONUS = 9_007_199_254_740_993, 802
_UNDERWAY = ("Sent", "Pending")


class Costs:
    """Each public method is one event, or what a finished job brings with it."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.company = diary.company
        self._orders = {row.id: row for row in self.company.purchase_orders}

    # Pay

    def pay_crew(self, job: Job) -> None:
        """The hours of a finished job."""
        for _ in range(self.diary.between(1, 4)):
            self._line(job, "TimesheetTime", self.diary.between(80, 400) * 100)

    def pay_bonus(self) -> None:
        """A bonus for an old job; the payroll adjustment tells the same money a second time."""
        diary = self.diary
        job = diary.pick(self.company.jobs, lambda row: row.active and row.status == "Completed")
        if job is None:
            return
        line = self._line(job, "CustomBonus", diary.between(25, 300) * 100)
        twin = PayrollAdjustment(
            id=diary.new_id("payroll_adjustments"),
            employee_id=line.employee_id,
            posted=line.date,
            amount_cents=line.amount_cents,
            invoice_id=job.invoice_id,
            activity_code_id=_BONUS,
            created=diary.now,
            modified=diary.now,
        )
        diary.add("payroll_adjustments", twin)
        line.source_id = twin.id

    def recompute(self) -> None:
        """The pay of an old job is worked out again.

        A line keeps its row and gets another amount, or its row goes and a new one takes its place,
        with a creation stamp of now on a pay date of long ago.
        """
        diary = self.diary
        first = diary.pick(
            self.company.gross_pay_items, lambda row: row.active and bool(row.job_id)
        )
        if first is None:
            return
        lines = diary.pay[first.job_id or 0]
        for line in list(lines):
            cents = line.amount_cents + diary.between(-20, 40) * 100
            if diary.chance(0.4):
                line.amount_cents = cents
                diary.change("gross_pay_items", line)
                continue
            diary.deactivate("gross_pay_items", line)
            lines.remove(line)
            if diary.chance(0.9):  # now and then the work was booked on the wrong job
                self._append(replace(line, amount_cents=cents, active=True))

    def close_payroll(self) -> None:
        """A pay period is paid out."""
        row = self.diary.pick(self.company.payrolls, lambda row: row.status == "Pending")
        if row is not None:
            row.status = "Paid"
            self.diary.change("payrolls", row)

    def _line(self, job: Job, kind: str, cents: int) -> GrossPayItem:
        diary = self.diary
        people = self.company.technicians
        employee = people[diary.between(0, len(people) - 1)].id
        clocked = kind == "TimesheetTime"
        worked = diary.now - 9 * HOUR
        line = GrossPayItem(
            row=0,
            kind=kind,
            amount_cents=cents,
            date=calendar_day(worked),
            job_id=job.id,
            employee_id=employee,
            payroll_id=self._payroll(employee).id,
            activity_code_id=_PAINTING if clocked else _BONUS,
            activity="Working" if clocked else "Direct Adjustment",
            started=worked if clocked else None,
            ended=worked + 8 * HOUR if clocked else None,
            invoice_id=None if clocked else job.invoice_id,
            customer_id=job.customer_id,
            location_id=job.location_id,
            job_type_id=job.job_type_id,
            business_unit_id=job.business_unit_id,
        )
        return self._append(line)

    def _append(self, line: GrossPayItem) -> GrossPayItem:
        line.row = len(self.company.gross_pay_items)
        line.id = 230_000_000 + line.row
        self.diary.add("gross_pay_items", line)
        self.diary.pay[line.job_id or 0].append(line)
        return line

    def _payroll(self, employee: int) -> Payroll:
        diary = self.diary
        period = (diary.now - _A_PERIOD_STARTED) // _PERIOD
        started = _A_PERIOD_STARTED + period * _PERIOD
        row = diary.payrolls.get((employee, started))
        if row is None:
            row = Payroll(
                id=diary.new_id("payrolls"),
                employee_id=employee,
                started=started,
                ended=started + _PERIOD,
                status="Pending",
                created=diary.now,
                modified=diary.now,
            )
            diary.add("payrolls", row)
            diary.payrolls[employee, started] = row
        return row

    # Purchases

    def order(self, job: Job) -> None:
        """Goods for a job."""
        diary = self.diary
        item = PurchaseItem(
            diary.new_id("purchase_items", 1), 40_000 + diary.between(0, 399), 0, 0, 0
        )
        count, item.cost_cents = diary.between(1, 12), diary.between(9, 90) * 100
        item.quantity, item.total_cents = count * 100, count * item.cost_cents
        tax = item.total_cents * 86 // 1000
        row = PurchaseOrder(
            id=self._new_id(),
            status="Pending",
            total_cents=item.total_cents + tax,
            job_id=job.id,
            tax_cents=tax,
            invoice_id=job.invoice_id,
            business_unit_id=job.business_unit_id,
            vendor_id=3_000 + diary.between(0, 24),
            date=calendar_day(diary.now),
            items=(item,),
        )
        diary.add("purchase_orders", row)
        self._orders[row.id] = row

    def receive(self) -> None:
        """An order under way arrives; three of four are billed the same day."""
        order = self.diary.pick(self.company.purchase_orders, lambda row: row.status in _UNDERWAY)
        if order is not None:
            self._receive(order, billed=self.diary.chance(0.75))

    def bill_without_stamp(self) -> None:
        """A vendor's bill whose creation stamp is null, so that no window of creation holds it."""
        order = self.diary.pick(self.company.purchase_orders, lambda row: row.status in _UNDERWAY)
        if order is not None:
            self._receive(order, billed=True)
            self.company.inventory_bills[-1].created = None

    def cancel_order(self) -> None:
        """An order is called off."""
        order = self.diary.pick(self.company.purchase_orders, lambda row: row.status in _UNDERWAY)
        if order is not None:
            order.status = "Canceled"
            self.diary.change("purchase_orders", order)

    def correct_bill(self) -> None:
        """The vendor's bill of an old order is corrected."""
        bill = self.diary.pick(self.company.inventory_bills, lambda row: row.active)
        if bill is not None:
            bill.amount_cents = (bill.amount_cents or 0) + self.diary.between(-30, 60) * 100
            self.diary.change("inventory_bills", bill)

    def send_back(self) -> None:
        """A part of an old order goes back."""
        diary = self.diary
        order = diary.pick(
            self.company.purchase_orders, lambda row: row.status == "Received" and bool(row.items)
        )
        if order is None:
            return
        tax = order.items[0].total_cents * 86 // 1000
        row = Return(
            id=self._new_id(),
            amount_cents=order.items[0].total_cents + tax,
            job_id=order.job_id,
            purchase_order_id=order.id,
            tax_cents=tax,
            business_unit_id=order.business_unit_id or 1_001,
            vendor_id=order.vendor_id,
            date=calendar_day(diary.now),
            items=order.items[:1],
        )
        diary.add("returns", row)

    def delete_paper(self) -> None:
        """A bill, a receipt or a return is deleted."""
        entity = ("inventory_bills", "receipts", "returns")[self.diary.between(0, 2)]
        rows: list[Any] = getattr(self.company, entity)
        row = self.diary.pick(rows, lambda row: row.active)
        if row is not None:
            self.diary.deactivate(entity, row)

    def _receive(self, order: PurchaseOrder, billed: bool) -> None:
        diary = self.diary
        order.sent = order.sent or order.created
        order.status, order.received = "Received", diary.now
        diary.change("purchase_orders", order)
        receipt = Receipt(
            id=self._new_id(),
            purchase_order_id=order.id,
            amount_cents=order.total_cents,
            tax_cents=order.tax_cents,
            shipping_cents=order.shipping_cents,
            received=diary.now,
            created=diary.now,
            modified=diary.now,
            job_id=order.job_id,
            business_unit_id=order.business_unit_id,
            vendor_id=order.vendor_id,
            items=order.items,
        )
        diary.add("receipts", receipt)
        if billed:
            receipt.bill_id = self._bill(order).id

    def _bill(self, order: PurchaseOrder) -> InventoryBill:
        bill = InventoryBill(
            id=self._new_id(),
            amount_cents=order.total_cents + self.diary.between(0, 40) * 100,
            job_id=order.job_id,
            purchase_order_id=order.id,
            tax_cents=order.tax_cents,
            shipping_cents=order.shipping_cents,
            business_unit_id=order.business_unit_id,
            vendor_id=order.vendor_id,
            date=calendar_day(self.diary.now),
            items=order.items,
        )
        self.diary.add("inventory_bills", bill)
        return bill

    def _new_id(self) -> int:
        """Orders, receipts, bills and returns count on one another's numbers."""
        kinds = ("purchase_orders", "receipts", "inventory_bills", "returns")
        return max(self.diary.new_id(kind) for kind in kinds)
