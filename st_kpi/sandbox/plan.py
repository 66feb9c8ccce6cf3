"""How many rows the company has: the whole size, and any fraction of it."""

from __future__ import annotations

FULL_SIZE = {
    "jobs": 161_332,
    "estimates": 149_310,
    "invoices": 172_777,
    "payments": 55_459,
    "customers": 90_000,
    "locations": 95_000,
    "credit_memos": 1_200,
}


def planned_counts(scale: float) -> dict[str, int]:
    """Exact row counts per entity at a scale; the other entities follow from the jobs."""
    if scale <= 0:
        raise ValueError(f"scale must be above zero, not {scale}")
    return {name: max(2, round(full * scale)) for name, full in FULL_SIZE.items()}
