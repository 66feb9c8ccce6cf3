"""Raw rows by chance from a seed, made of what goes wrong: local midnights, week and month ends, NULLs,
negatives, zeros, canceled and inactive rows, references to nothing, and two companies with the same ids."""

import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Rows = dict[str, list[Row]]

TENANTS = (1, 2)
AS_OF = dt.date(2025, 1, 12)

#: Phoenix is seven hours behind: 07:00 UTC is its midnight. A bare UTC midnight is a calendar date, and the year 1 none.
INSTANTS = [
    dt.datetime.fromisoformat(f"{text}+00:00")
    for text in (
        "2024-12-30 06:59:59.999999", "2024-12-30 07:00:00", "2025-01-01 06:59:59", "2025-01-01 07:00:00",
        "2025-01-06 06:59:59", "2025-01-06 07:00:00", "2025-01-08 00:00:00", "2025-01-10 18:30:00",
        "2025-01-13 06:59:59", "2025-01-13 07:00:00", "2025-02-01 06:59:59", "2025-02-01 07:00:00",
        "2026-01-12 07:00:00", "2026-01-13 07:00:00", "2024-02-29 12:00:00", "0001-01-01 00:00:00",
    )
]  # fmt: skip
AMOUNTS = [
    Decimal(text)
    for text in ("0", "0.01", "-0.01", "9.99", "10", "-200", "333.333333333", "1000", "98765432.1", "0.000000001")
]  # fmt: skip
UNITS = (1, 2, 3, 4, 5)
PROJECTS = (None, 7, 8, 0, 9)
MAPPED = [
    (1, "East", "SALES", None, None),
    (2, "East", "PRODUCTION", None, None),
    (3, "West", "SALES", None, dt.date(2025, 1, 8)),
    (3, "North", "SALES", dt.date(2025, 1, 9), None),
    (4, "West", "PRODUCTION", dt.date(2024, 12, 31), None),
    (5, "North", "BOTH", dt.date(2025, 1, 8), None),
]
TYPES = (
    (1, "Estimate RES", None),
    (2, "RES-EXT", "production"),
    (3, "Warranty", "warranty"),
    (4, "Washing", "excluded"),
)


def rows(seed: int, size: int = 32) -> Rows:
    """About ``size`` jobs per company, and what hangs on them."""
    tables: Rows = {}
    for tenant in TENANTS:
        chance = random.Random(seed * 1000 + tenant)
        for table, records in _company(chance, size).items():
            tables.setdefault(table, []).extend({"tenant_id": tenant} | row for row in records)
    return tables


def units() -> list[tuple[Any, ...]]:
    """The unit mapping as the build writes it."""
    return [(tenant, *row) for tenant in TENANTS for row in MAPPED]


def families() -> list[tuple[Any, ...]]:
    """The job type mapping as the build writes it."""
    return [(tenant, key, family) for tenant in TENANTS for key, _, family in TYPES if family]


def _company(chance: random.Random, size: int) -> Rows:
    def some(number: int, make: Callable[[int], Row]) -> list[Row]:
        records = [make(key) for key in range(1, number + 1)]
        return [
            row | {"active": chance.choice([True, True, True, True, None, False])}
            for row in records
        ]

    def when() -> Any:
        return chance.choice([*INSTANTS, *INSTANTS, None])

    def money() -> Any:
        return chance.choice([*AMOUNTS, *AMOUNTS, None])

    def job() -> Any:
        return chance.choice([*range(1, size + 1), *range(1, size + 1), None, 0, 999])

    def key_of(number: int) -> Any:
        return chance.choice([*range(1, number + 1), None, 0, 999])

    def dated(key: int, name: str) -> Row:
        """The record's own days, which go by its key."""
        return {name: [None, *INSTANTS][key % 17], "created_on": INSTANTS[key % 16]}

    pick = chance.choice
    return {
        "business_units": [{"id": key, "name": f"Unit {key}", "active": True} for key in UNITS],
        "job_types": [
            {"id": key, "name": name, "no_charge": pick([None, False, False, True]), "active": True,
             "sold_threshold": pick([None, None, Decimal(10), Decimal(500)])}
            for key, name, _ in TYPES
        ],
        "customers": some(4, lambda key: {"id": key, "is_test": pick([None, False, False, True])}),
        "locations": some(6, lambda key: {"id": key, "customer_id": pick([1, 2, 3, 4])}),
        "jobs": some(size, lambda key: {
            "id": key, "job_number": str(key), "customer_id": key_of(4), "location_id": key_of(6),
            "business_unit_id": pick([*UNITS, *UNITS, None, 0]), "job_type_id": pick([1, 1, 1, 2, 2, 3, 4, None]),
            "job_status": pick(["Completed", "Completed", "Scheduled", "Canceled", "Hold", None]),
            "no_charge": pick([None, False, False, False, True]), "created_on": when(), "completed_on": when(),
            "first_appointment_id": key_of(size), "project_id": PROJECTS[key % 5],
        }),
        "appointments": some(size + 6, lambda key: {
            "id": key, "job_id": job(), "start": when(), "status": pick(["Scheduled", "Done", "Canceled", None]),
        }),
        "estimates": some(size + 4, lambda key: {
            "id": key, "job_id": job(), "status_name": pick(["Sold", "Sold", "Open", "Dismissed", None]),
            "sold_on": when(), "subtotal": money(), "project_id": PROJECTS[key % 5], "business_unit_id": key % 6,
            "created_on": INSTANTS[key % 16],
        }),
        "invoices": some(size + 6, lambda key: {
            "id": key, "job_id": job(), "business_unit_id": pick([*UNITS, None]), "customer_id": key_of(4),
            "location_id": pick([1, 2, 3, None, 0]), "sub_total": money(), "balance": money(),
            "adjustment_to_id": pick([None, None, 1]), "project_id": PROJECTS[key % 5],
        } | dated(key, "invoice_date")),
        "invoice_items": some(size, lambda key: {
            "id": key, "line": key, "invoice_id": key_of(size), "total_cost": money(), "cost": money(),
            "type": pick(["Material", "Equipment", "Service", None]),
        }),
        "payments": some(10, lambda key: {
            "id": key, "business_unit_id": pick([*UNITS, None]), "customer_id": key_of(4), "date": when(),
            "unapplied_amount": money(), "created_on": INSTANTS[key % 16],
        }),
        "payment_applications": some(14, lambda key: {
            "id": key, "line": key, "payment_id": key_of(10), "applied_to": key_of(size), "applied_amount": money(),
        }),
        "credit_memos": some(5, lambda key: {
            "id": key, "business_unit_id": pick([*UNITS, None]), "customer_id": key_of(4),
            "location_id": pick([1, None, 0]), "balance": money(),
            "applied_to": pick([None, "[]", '[{"appliedTo": 1, "appliedId": 7}, {"appliedTo": 2, "appliedId": 3}]',
                                '[{"appliedTo": 999, "appliedId": 1}]']),
        }),
        "gross_pay_items": some(size, lambda key: {
            "id": None, "job_id": job(), "amount": money(), "amount_adjustment": money(),
            "gross_pay_item_type": pick(["TimesheetTime", "CustomBonus", "InvoiceRelatedBonus", "Salary", None]),
            "project_id": PROJECTS[key % 5],
        } | dated(key, "date")),
        "purchase_orders": some(8, lambda key: {
            "id": key, "job_id": job(), "status": pick(["Sent", "Received", "Canceled", None]), "total": money(),
            "tax": money(), "project_id": PROJECTS[key % 5],
        } | dated(key, "date")),
        "inventory_bills": some(8, lambda key: {
            "id": key, "job_id": job(), "purchase_order_id": key_of(8), "bill_amount": money(), "tax_amount": money(),
        } | dated(key, "bill_date")),
        "receipts": some(5, lambda key: {
            "id": key, "job_id": job(), "receipt_amount": money(), "tax_amount": money(),
        } | dated(key, "received_on")),
        "returns": some(4, lambda key: {
            "id": key, "job_id": job(), "return_amount": money(), "status": pick(["Open", "Canceled", None]),
            "project_id": PROJECTS[key % 5],
        } | dated(key, "return_date")),
    }  # fmt: skip
