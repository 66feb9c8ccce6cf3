"""What normalizing is told and what it makes: the vocabulary of loader, slices and rejects."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Stamp:
    """What the loader writes beside every row, and the pattern by which it knows test customers."""

    tenant_id: int
    run_id: str
    loaded_at: datetime
    test_customer_pattern: str = "test"


@dataclass(frozen=True)
class Reject:
    """A field that keeps its record out of the warehouse; ``value`` is never a personal one."""

    source_id: str | None
    field: str
    value: str | None
    reason: str


@dataclass(frozen=True)
class Normalized:
    """What one slice of a page became.

    ``drift`` names the fields that the model does not know, by their path. ``empty_dates`` counts the values that .NET
    writes for no date, which are stored as none.
    """

    records: Path
    lines: Path | None
    rows: int
    rejected: int
    max_modified_on: datetime | None
    rejects: tuple[Reject, ...]
    drift: frozenset[str]
    empty_dates: int = 0
