"""What jobs cost, part by part, in cents: rule 18 of the books.

Each function yields a job's id and an amount, as often as the job has rows of that kind. Whether a
job is active is not asked here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from st_kpi.sandbox.company import Company, GrossPayItem, Invoice

LABOUR = frozenset({"TimesheetTime"})
BONUSES = frozenset({"CustomBonus", "InvoiceRelatedBonus"})
SUPPLIES = frozenset({"Material", "Equipment"})

Amounts = Iterator[tuple[int, int]]


def by_job(*parts: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The sum of each job over all parts; 0 for a job without any."""
    sums: dict[int, int] = defaultdict(int)
    for part in parts:
        for job_id, cents in part:
            sums[job_id] += cents
    return sums


def labour(company: Company) -> Amounts:
    """Rule 18a: hours paid."""
    return _pay(company.gross_pay_items, LABOUR)


def payroll_adjustments(company: Company) -> Amounts:
    """Rule 18a: bonuses paid."""
    return _pay(company.gross_pay_items, BONUSES)


def _pay(lines: list[GrossPayItem], kinds: frozenset[str]) -> Amounts:
    for line in lines:
        if line.active and line.job_id and line.kind in kinds:
            yield line.job_id, line.amount_cents + (line.adjustment_cents or 0)


def supplies(company: Company) -> Amounts:
    """Rule 18b: materials and equipment on invoices."""
    for invoice in company.invoices:
        if invoice.active and invoice.job_id is not None:
            yield invoice.job_id, supplies_of(invoice)


def supplies_of(invoice: Invoice) -> int:
    """What the materials and equipment of one invoice cost."""
    return sum(item.total_cost_cents or 0 for item in invoice.items if item.kind in SUPPLIES)


def purchases(company: Company) -> Amounts:
    """Rule 18c: bills, and the orders that no bill replaces."""
    canceled = {row.id for row in company.purchase_orders if row.status == "Canceled"}
    jobs_of_orders = {row.id: row.job_id for row in company.purchase_orders}
    billed = set()
    for bill in company.inventory_bills:
        if not bill.active or bill.purchase_order_id in canceled:
            continue
        if bill.purchase_order_id is not None:
            billed.add(bill.purchase_order_id)
        job_id = bill.job_id or jobs_of_orders.get(bill.purchase_order_id or 0)
        if job_id:
            yield job_id, bill.amount_cents or 0
    for order in company.purchase_orders:
        if order.job_id and order.status != "Canceled" and order.id not in billed:
            yield order.job_id, order.total_cents


def orders(company: Company) -> Amounts:
    """What `purchases` would be if orders counted alone, whatever was billed."""
    for order in company.purchase_orders:
        if order.job_id and order.status != "Canceled":
            yield order.job_id, order.total_cents


def returns(company: Company) -> Amounts:
    """Rule 18d: what went back, negative."""
    for back in company.returns:
        if back.active and back.job_id and back.status != "Canceled":
            yield back.job_id, -back.amount_cents
