"""What was compared with ServiceTitan's reports before, for whoever shows a number."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from st_kpi.warehouse.base import Warehouse

RECONCILIATIONS = "st_ops.reconciliations"


@dataclass(frozen=True)
class Reconciled:
    """A comparison that was made before: of which number, with what, when, and what came out.

    ``here`` is our number as it was then; both are None for a ratio over nothing. ``differing`` is the number of rows that
    did not match.
    """

    kpi: str
    week_start: dt.date
    rollup: str
    report: str
    compared_at: dt.datetime
    build: int
    there: Decimal | None
    here: Decimal | None
    differing: int

    @property
    def agrees(self) -> bool:
        """Whether every row of the report was ours, and every row of ours in it."""
        return not self.differing


def reconciled(
    warehouse: Warehouse, tenant_id: int, first: dt.date, last: dt.date
) -> tuple[Reconciled, ...]:
    """The latest comparison of each KPI, week and rollup of the weeks from ``first`` to ``last``, their Mondays."""
    if not warehouse.table_exists(RECONCILIATIONS):
        return ()
    rows = warehouse.query(
        "SELECT kpi, week_start, `rollup` AS rollup_name, report, compared_at, build, there, here,"
        " amount_differs + only_there + only_here + other_week + other_unit + counted_twice AS differing"
        f" FROM {RECONCILIATIONS}"
        " WHERE tenant_id = @tenant_id AND week_start BETWEEN @first_day AND @last_day"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY kpi, week_start, `rollup` ORDER BY compared_at DESC) = 1"
        " ORDER BY week_start, kpi, rollup_name",
        {"tenant_id": tenant_id, "first_day": first, "last_day": last},
    )
    return tuple(
        Reconciled(
            r["kpi"],
            r["week_start"],
            r["rollup_name"],
            r["report"],
            r["compared_at"],
            int(r["build"]),
            r["there"],
            r["here"],
            int(r["differing"]),
        )
        for r in rows
    )
