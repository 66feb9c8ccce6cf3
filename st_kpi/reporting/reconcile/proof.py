"""Our side of a comparison has to be the number that is published."""

from collections.abc import Sequence

from st_kpi.errors import RunFailed
from st_kpi.reporting import published
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.warehouse.base import Warehouse


def require_published(warehouse: Warehouse, results: Sequence[Reconciliation]) -> None:
    """Raise ``RunFailed`` where the rows that were compared do not add up to what the tables of numbers say."""
    first, last = results[0], results[-1]
    shown = published.read(
        warehouse,
        tenant_id=first.tenant_id,
        kpi=first.kpi.name,
        rollup=first.rollup,
        week=last.week_start,
        weeks=(last.week_start - first.week_start).days // 7 + 1,
    )
    for result in results:
        cell = shown.cells.get((result.kpi.name, result.week_start, result.rollup))
        numerator = result.here.get("numerator", result.here.get("value"))
        ours = (numerator, result.here.get("denominator"))
        theirs = (cell.numerator, cell.denominator) if cell else (0, 0)
        if any((one or 0) != (other or 0) for one, other in zip(ours, theirs, strict=True)):
            raise RunFailed(
                f"The rows behind {result.kpi.title} of the week of {result.week_start} do not add up to the published"
                " number: it was built anew meanwhile, or a row is of a record that was never loaded. Run the command"
                " again; if it stays, run `st-kpi build --full`."
            )
