"""Whether there is anything to count: what was never read, and what was read and has no rows at ServiceTitan."""

from collections.abc import Sequence

from st_kpi.errors import NothingLoaded
from st_kpi.servicetitan.registry import REQUIRED
from st_kpi.warehouse.base import Warehouse


def require_loaded(warehouse: Warehouse, needed: Sequence[str] = REQUIRED) -> None:
    """Raise ``NothingLoaded`` without what every KPI is about; what else is missing the check ``freshness`` tells.

    ``needed`` are those of ``REQUIRED`` without which nothing can be said.
    """
    loaded = _with_rows(warehouse) if warehouse.table_exists("st_raw.jobs") else set()
    absent = [name for name in needed if name not in loaded]
    if len(absent) == len(needed):
        raise NothingLoaded("Nothing is loaded yet: run st-kpi backfill first.")
    if absent:
        raise NothingLoaded(
            f"Not loaded yet, and every KPI needs it: {', '.join(absent)}. Run `st-kpi backfill`, which loads what is"
            " missing."
        )


def require_source_rows(warehouse: Warehouse) -> None:
    """Raise ``NothingLoaded`` naming what was read and has no rows; reading it again would change nothing."""
    if not warehouse.table_exists("st_ops.chunks"):
        return
    times = warehouse.query(
        "SELECT entity, MAX(server_time) AS read_at FROM st_ops.chunks"
        " WHERE entity IN UNNEST(@entities) GROUP BY entity",
        {"entities": list(REQUIRED)},
    )
    read_at = {row["entity"]: row["read_at"] for row in times}
    empty = sorted(read_at.keys() - _with_rows(warehouse))
    if empty:
        last = max((read_at[name] for name in empty if read_at[name]), default=None)
        when = f", asked on {last:%Y-%m-%d %H:%M} UTC" if last else ""
        listed = ", no ".join(name.replace("_", " ") for name in empty)
        raise NothingLoaded(
            f"There is nothing to count: ServiceTitan has no {listed} for this tenant{when}. If it should have, check"
            " ST_KPI_TENANT_ID and ST_KPI_ENVIRONMENT, and what the app may read; `st-kpi sync` brings what comes."
        )


def _with_rows(warehouse: Warehouse) -> set[str]:
    """Those of ``REQUIRED`` that have rows."""
    exist = ", ".join(f"EXISTS(SELECT 1 FROM st_raw.{name}) AS {name}" for name in REQUIRED)
    (found,) = warehouse.query(f"SELECT {exist}")
    return {name for name in REQUIRED if found[name]}
