"""Whether the week was compared with ServiceTitan's own reports, and how far apart the two are."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class Reconciled:
    """One number compared with ServiceTitan's: ``there`` and ``here``, and how many records differ."""

    kpi: str
    week_start: date
    rollup: str
    report: str
    compared_at: datetime
    there: Decimal | None
    here: Decimal | None
    differing: int


def read(warehouse: Warehouse, tenant: int, first: date, last: date) -> tuple[Reconciled, ...]:
    """The last comparison of each number of these weeks; nothing is compared yet by any command."""
    return ()
