"""Reports of money received and owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from st_kpi.sandbox.company import Invoice, Payment
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.table import Asked, Row


def collections(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """A row per applied line of every active payment, and one for what was not applied."""
    for payment in ledger.company.payments:
        if not payment.active:
            continue
        day = ledger.books.dated(payment.date)
        for line in payment.applied_to:
            invoice = ledger.books.invoices.get(line.invoice_id)
            key, cents = f"{payment.id}:{line.id}", line.amount_cents or 0
            yield _received(ledger, payment, day, key, cents, str(line.invoice_id), invoice)
        if payment.unapplied_cents:
            yield _received(ledger, payment, day, f"{payment.id}:", payment.unapplied_cents)


def _received(
    ledger: Ledger,
    payment: Payment,
    day: date,
    key: str,
    cents: int,
    number: str | None = None,
    invoice: Invoice | None = None,
) -> Row:
    unit_id = invoice.business_unit_id if invoice else None
    return Row(
        key,
        unit_id,
        {
            "PaymentDate": day,
            "InvoiceNumber": number,
            "InvoiceBusinessUnit": ledger.unit_name(unit_id),
            "PaymentType": ledger.payment_types.get(payment.type_id),
            "CustomerName": ledger.customer(payment.customer_id),
            "Amount": cents,
        },
        {"": day},
    )


def receivables(ledger: Ledger, asked: Asked) -> Iterator[Row]:
    """A row per location and unit with open invoices or credits; credits are negative.

    Invoices of jobs not yet started are no debt yet. A credit that names no unit goes to that of the
    location's oldest open invoice in production. Nothing is too small to be shown.
    """
    invoices, oldest = _open_invoices(ledger, asked.last)
    credits: dict[tuple[int, int | None], int] = defaultdict(int)
    for location_id, unit, cents in ledger.books.credits():
        unit_id = unit.id if unit else oldest.get(location_id, (0, None))[1]
        credits[location_id, unit_id] -= cents
    both = {*invoices, *credits}
    for location_id, unit_id in sorted(both, key=lambda pair: (pair[0], pair[1] or 0)):
        place = ledger.locations.get(location_id)
        yield Row(
            f"{location_id}:{unit_id or ''}",
            unit_id,
            {
                "LocationId": str(location_id),
                "LocationName": place.name if place else None,
                "CustomerName": ledger.customer(place.customer_id if place else None),
                "BusinessUnit": ledger.unit_name(unit_id),
                "InvoiceBalance": invoices.get((location_id, unit_id), 0),
                "Credits": credits.get((location_id, unit_id), 0),
            },
            {"": asked.last},
        )


def with_balance(ledger: Ledger, rows: list[Row]) -> list[Row]:
    """What is owed after credits."""
    for row in rows:
        balance, credits = row.values["InvoiceBalance"], row.values["Credits"]
        assert isinstance(balance, int)
        assert isinstance(credits, int)
        row.values["Balance"] = balance + credits
    return rows


def _open_invoices(
    ledger: Ledger, as_of: date
) -> tuple[dict[tuple[int, int | None], int], dict[int, tuple[int, int]]]:
    """Balances by location and unit, and each location's oldest invoice in production with its unit."""
    balances: dict[tuple[int, int | None], int] = defaultdict(int)
    oldest: dict[int, tuple[int, int]] = {}
    for bill in ledger.company.invoices:
        place, unit = bill.location_id, ledger.books.unit(bill.business_unit_id)
        if not bill.active or not bill.balance_cents or place is None:
            continue
        if not ledger.books.due(bill, as_of):
            continue
        balances[place, unit.id if unit else None] += bill.balance_cents
        if unit is not None and unit.produces:
            first = (bill.id, unit.id)
            oldest[place] = min(first, oldest.get(place, first))
    return balances, oldest
