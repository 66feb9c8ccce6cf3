"""What the jobs cost: pay lines, payrolls, orders, receipts, bills and returns."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from random import Random

from st_kpi.sandbox.clock import DAY, HOUR, MINUTE, ticks
from st_kpi.sandbox.company import (
    Company,
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
from st_kpi.sandbox.history import in_production
from st_kpi.sandbox.money import calendar_day
from st_kpi.sandbox.reference import NOW, UTC_OFFSET
from st_kpi.sandbox.schedule import later, local_midnight, touched

_FIRST_PERIOD = ticks("2019-12-30T07:00:00Z")
_PERIOD = 14 * DAY
_IDS_FROM = ticks("2025-07-01T00:00:00Z")  # pay lines carry an id only since then
_PAINT, _PREP, _COMMISSION, _DIRECT, _TOOLS = (
    9_007_199_254_740_993,
    9_007_199_254_740_992,
    801,
    802,
    803,
)


def write_costs(company: Company, rng: Random, revenue: list[int]) -> None:
    """Fill payroll and purchasing for every job that has begun."""
    starts = {row.id: row.start for row in company.appointments}
    pay = _Pay(company, rng)
    buying = _Buying(company, rng)
    production = dict((job.id, cents) for job, cents in in_production(company, revenue))
    for job in company.jobs:
        start = starts.get(job.first_appointment_id or 0, job.completed or job.created)
        if job.id not in production:
            pay.sales_visit(job, start)
            continue
        cents = production[job.id]
        if start < NOW and job.status != "Canceled":
            pay.crew(job, start, cents)
        if cents > 100_000 or rng.random() < 0.05:
            buying.for_job(job, start, cents)
    pay.without_job()
    buying.stock(max(2, len(company.purchase_orders) // 30))


class _Pay:
    def __init__(self, company: Company, rng: Random) -> None:
        self.company = company
        self.rng = rng
        self._payrolls: dict[tuple[int, int], Payroll] = {}
        self._adjustment_ids = count(210_000_000, 3)
        self._sources = count(220_000_000)
        self._names = {unit.id: unit.id for unit in company.business_units}

    def crew(self, job: Job, start: int, revenue: int) -> None:
        """Labour of a production job, with bonuses; one job in sixty has two equal lines."""
        rng = self.rng
        lines = 2 + int(rng.random() * 4) if revenue > 60_000 else 1 + int(rng.random() * 2)
        each = int(revenue * (0.28 + rng.random() * 0.15)) // lines or 6_000
        row = None
        for n in range(lines):
            worked = start + n // 2 * DAY
            row = self._line("TimesheetTime", job, worked, int(each * (0.8 + rng.random() * 0.4)))
        if row is not None and rng.random() < 1 / 60:
            self._append(replace(row))
        draw = rng.random()
        if draw < 0.22:
            self._line("InvoiceRelatedBonus", job, start + DAY, revenue // 50 + 500)
        elif draw < 0.34:
            self._bonus(job, start + DAY)
        elif draw < 0.36:
            self._line("Reimbursement", job, start, 1_900)

    def sales_visit(self, job: Job, start: int) -> None:
        """Time and commission in the sales units; it belongs to no produced job."""
        if start < NOW and self.rng.random() < 0.4:
            self._line("TimesheetTime", job, start, 4_500 + int(self.rng.random() * 3_000))

    def without_job(self) -> None:
        """Salaries, time off and tools: `jobId` is 0 on some and null on others."""
        for n, payroll in enumerate(list(self._payrolls.values())):
            if n % 2:
                kind = ("Salary", "Reimbursement", "TimesheetTime")[n // 2 % 3]
                row = self._line(kind, None, payroll.started + 3 * DAY, 12_000 + n % 9_000)
                row.job_id = 0 if n % 4 == 1 else None

    def _bonus(self, job: Job, day: int) -> None:
        rng = self.rng
        row = self._line("CustomBonus", job, day, 2_500 + 500 * int(rng.random() * 30))
        adjustment = PayrollAdjustment(
            id=next(self._adjustment_ids),
            employee_id=row.employee_id,
            posted=row.date,
            amount_cents=row.amount_cents,
            invoice_id=job.invoice_id,
            activity_code_id=_DIRECT,
            created=row.created,
            modified=row.modified,
            active=row.active,
        )
        row.source_id = adjustment.id
        self.company.payroll_adjustments.append(adjustment)

    def _line(self, kind: str, job: Job | None, worked: int, cents: int) -> GrossPayItem:
        rng = self.rng
        worked = min(worked, NOW - 9 * HOUR)
        employee = 5_000 + int(rng.random() * 221)
        payroll = self._payroll(employee, worked)
        clocked = kind == "TimesheetTime"
        prep = rng.random() < 0.2
        row = GrossPayItem(
            row=len(self.company.gross_pay_items),
            kind=kind,
            amount_cents=cents,
            date=calendar_day(worked),
            job_id=job.id if job else None,
            employee_id=employee,
            payroll_id=payroll.id,
            activity_code_id=(_PREP if prep else _PAINT) if clocked else _CODES[kind],
            activity="Working" if clocked else _ACTIVITIES[kind],
            started=worked if clocked else None,
            ended=worked + 8 * HOUR if clocked else None,
            source_id=next(self._sources) if clocked else None,
            invoice_id=job.invoice_id if job and not clocked else None,
            customer_id=job.customer_id if job else None,
            location_id=job.location_id if job else None,
            job_type_id=job.job_type_id if job else None,
            business_unit_id=job.business_unit_id if job else None,
            created=min(NOW, worked + 8 * HOUR),
        )
        row.modified = touched(rng, row.created, 14)
        if rng.random() < 0.03:
            row.adjustment_cents = int(rng.random() * 6_000) - 2_000
        row.active = rng.random() > 0.004
        self._append(row)
        return row

    def _append(self, row: GrossPayItem) -> None:
        row.row = len(self.company.gross_pay_items)
        row.id = 230_000_000 + row.row if row.created >= _IDS_FROM else None
        self.company.gross_pay_items.append(row)

    def _payroll(self, employee: int, worked: int) -> Payroll:
        period = (worked - _FIRST_PERIOD) // _PERIOD
        payroll = self._payrolls.get((employee, period))
        if payroll is None:
            began = _FIRST_PERIOD + period * _PERIOD
            created = max(ticks("2020-01-01T07:00:00Z"), began)
            payroll = Payroll(
                id=200_000_000 + 3 * len(self._payrolls),
                employee_id=employee,
                started=began,
                ended=began + _PERIOD,
                status="Pending" if began + _PERIOD > NOW else "Paid",
                created=created,
                modified=touched(self.rng, created, 20),
                burden_cents=None if employee % 3 else 425,
                active=self.rng.random() > 0.003,
            )
            self._payrolls[employee, period] = payroll
            self.company.payrolls.append(payroll)
        return payroll


_CODES = {
    "InvoiceRelatedBonus": _COMMISSION,
    "CustomBonus": _DIRECT,
    "Reimbursement": _TOOLS,
    "Salary": None,
}
_ACTIVITIES = {
    "InvoiceRelatedBonus": "Commission",
    "CustomBonus": "Direct Adjustment",
    "Reimbursement": "Tools",
    "Salary": None,
}


class _Buying:
    def __init__(self, company: Company, rng: Random) -> None:
        self.company = company
        self.rng = rng
        self._ids = count(240_000_000, 3)
        self._item_ids = count(600_000_000)

    def for_job(self, job: Job, start: int, revenue: int) -> None:
        """Zero to two orders for a job, most of them received, billed, some returned."""
        draw = self.rng.random()
        orders = 0 if draw < 0.2 else 2 if draw > 0.9 else 1
        for _ in range(orders):
            budget = max(2_000, int(revenue * (0.04 + self.rng.random() * 0.14)))
            begun = max(job.created, start - int(self.rng.random() * 9) * DAY)
            self._order(job, min(begun, NOW - HOUR), budget)

    def stock(self, orders: int) -> None:
        """Orders for the warehouse: no job."""
        last = self.company.last_day.toordinal() - self.company.first_day.toordinal()
        for _ in range(orders):
            day = NOW - (1 + int(self.rng.random() * (last - 1))) * DAY
            self._order(None, day, 30_000 + int(self.rng.random() * 90_000))

    def _order(self, job: Job | None, created: int, budget: int) -> None:
        rng = self.rng
        items = self._items(budget)
        net = sum(item.total_cents for item in items)
        tax, shipping = net * 86 // 1000, 1_500 if rng.random() < 0.2 else 0
        order = PurchaseOrder(
            id=next(self._ids),
            status="Sent",
            total_cents=net + tax + shipping,
            job_id=job.id if job else None,
            tax_cents=tax,
            shipping_cents=shipping,
            invoice_id=job.invoice_id if job else None,
            business_unit_id=job.business_unit_id if job else None,
            vendor_id=3_000 + int(rng.random() * 25),
            date=calendar_day(created),
            created=created,
            items=items,
        )
        order.modified = touched(rng, created, 12)
        self.company.purchase_orders.append(order)
        self._follow(order)

    def _follow(self, order: PurchaseOrder) -> None:
        """What became of an order: canceled, pending, received, billed."""
        rng = self.rng
        draw = rng.random()
        age = NOW - order.created
        if draw < 0.05:
            order.status = "Canceled"
            if rng.random() < 0.3:
                self._bill(order)
        elif age < 3 * DAY or draw < 0.07:
            order.status = "Pending"
        elif age < 8 * DAY:
            order.sent = order.created
        else:
            order.status = ("Received", "Exported", "PartiallyReceived")[int(rng.random() * 2.1)]
            order.sent = order.created
            order.received = order.created + (1 + int(rng.random() * 6)) * DAY
            receipt = self._receipt(order)
            if rng.random() < 0.75:
                receipt.bill_id = self._bill(order).id
            if rng.random() < 0.06:
                self._return(order)

    def _receipt(self, order: PurchaseOrder) -> Receipt:
        at = order.received or order.created
        receipt = Receipt(
            id=next(self._ids),
            purchase_order_id=order.id,
            amount_cents=order.total_cents,
            tax_cents=order.tax_cents,
            shipping_cents=order.shipping_cents,
            received=at,
            created=at,
            modified=touched(self.rng, at, 3),
            job_id=order.job_id,
            business_unit_id=order.business_unit_id,
            vendor_id=order.vendor_id,
            items=order.items,
            active=self.rng.random() > 0.006,
        )
        self.company.receipts.append(receipt)
        return receipt

    def _bill(self, order: PurchaseOrder) -> InventoryBill:
        """The vendor's bill: mostly the order's money, sometimes more or only a part."""
        rng = self.rng
        draw = rng.random()
        amount = order.total_cents
        if draw < 0.15:
            amount += int(rng.random() * 4_000)
        elif draw < 0.2:
            amount //= 2
        created = later(rng, (order.received or order.created) + DAY, 25)
        bill = InventoryBill(
            id=next(self._ids),
            amount_cents=amount,
            job_id=order.job_id,
            purchase_order_id=order.id,
            tax_cents=order.tax_cents,
            shipping_cents=order.shipping_cents,
            business_unit_id=order.business_unit_id,
            vendor_id=order.vendor_id,
            date=calendar_day(created),
            created=created,
            modified=touched(rng, created, 9),
            items=order.items,
            active=rng.random() > 0.01,
        )
        self.company.inventory_bills.append(bill)
        return bill

    def _return(self, order: PurchaseOrder) -> None:
        rng = self.rng
        at = later(rng, (order.received or order.created) + DAY, 20)
        item = order.items[0]
        self.company.returns.append(
            Return(
                id=next(self._ids),
                amount_cents=item.total_cents + item.total_cents * 86 // 1000,
                status=("Returned", "CreditReceived", "Pending", "Canceled")[int(rng.random() * 4)],
                job_id=order.job_id,
                purchase_order_id=order.id,
                tax_cents=item.total_cents * 86 // 1000,
                business_unit_id=order.business_unit_id or 1_001,
                vendor_id=order.vendor_id,
                date=local_midnight(at) - UTC_OFFSET,
                created=at,
                modified=touched(rng, at + MINUTE, 10),
                items=(item,),
                active=rng.random() > 0.01,
            )
        )

    def _items(self, budget: int) -> tuple[PurchaseItem, ...]:
        rng = self.rng
        items = []
        lines = 1 + (rng.random() < 0.4)
        for _ in range(lines):
            quantity = 1 + int(rng.random() * 12)
            cost = max(100, budget // lines // quantity)
            sku = 40_000 + int(rng.random() * 400)
            items.append(
                PurchaseItem(next(self._item_ids), sku, quantity * 100, cost, quantity * cost)
            )
        return tuple(items)
