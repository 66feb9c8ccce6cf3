"""Whether ServiceTitan has anything to count: a tenant without records is not one that was never read."""

from st_kpi.errors import NothingLoaded
from st_kpi.warehouse.base import Warehouse

#: Without one of these there is no number.
_NEEDED = ("business_units", "job_types", "jobs")


def require_source_rows(warehouse: Warehouse) -> None:
    """Raise ``NothingLoaded`` naming what was read and has no rows; reading it again would change nothing."""
    if not warehouse.table_exists("st_ops.chunks"):
        return
    times = warehouse.query(
        "SELECT entity, MAX(server_time) AS read_at FROM st_ops.chunks"
        " WHERE entity IN UNNEST(@entities) GROUP BY entity",
        {"entities": list(_NEEDED)},
    )
    read_at = {row["entity"]: row["read_at"] for row in times}
    exist = ", ".join(f"EXISTS(SELECT 1 FROM st_raw.{name}) AS {name}" for name in _NEEDED)
    (has_rows,) = warehouse.query(f"SELECT {exist}")
    empty = [name for name in _NEEDED if name in read_at and not has_rows[name]]
    if empty:
        last = max((read_at[name] for name in empty if read_at[name]), default=None)
        when = f", asked on {last:%Y-%m-%d %H:%M} UTC" if last else ""
        listed = ", no ".join(name.replace("_", " ") for name in empty)
        raise NothingLoaded(
            f"There is nothing to count: ServiceTitan has no {listed} for this tenant{when}. If it should have, check"
            " ST_KPI_TENANT_ID and ST_KPI_ENVIRONMENT, and what the app may read; `st-kpi sync` brings what comes."
        )
