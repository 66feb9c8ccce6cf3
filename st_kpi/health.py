"""How complete and how fresh the warehouse is, per entity: what ``st-kpi status`` answers."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from st_kpi.errors import NothingLoaded
from st_kpi.servicetitan.registry import REGISTRY, Entity, History
from st_kpi.settings import Settings
from st_kpi.warehouse.base import Warehouse
from st_kpi.windows import Window, midnight, missing


@dataclass(frozen=True)
class EntityHealth:
    """One entity's counts, in rows, and times, in UTC.

    ``known_until`` is the source's clock when the oldest of the windows was read; ``gaps`` are the tenant's months, ``2023-04``, of
    history that no complete chunk covers.
    """

    entity: str
    rows: int
    promised: int
    fetched: int
    stored: int
    rejected: int
    newest_change: datetime | None
    known_until: datetime | None
    gaps: tuple[str, ...]
    last_run: str | None


@dataclass(frozen=True)
class LastRun:
    """The newest run of a flow."""

    run_id: str
    flow: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    detail: str | None


@dataclass(frozen=True)
class Health:
    """Every entity, loaded or not, and the newest run."""

    entities: tuple[EntityHealth, ...]
    last_run: LastRun | None


def read(warehouse: Warehouse, settings: Settings) -> Health:
    """Read the manifest; raises ``NothingLoaded`` before the first backfill."""
    if not warehouse.table_exists("st_ops.chunks"):
        raise NothingLoaded("Nothing is loaded yet: run `st-kpi backfill` first.")
    tenant = "tenant_id = @tenant_id" if settings.tenant_id is not None else "TRUE"
    params = {"tenant_id": settings.tenant_id}
    chunks = warehouse.query(
        "SELECT entity, kind, window_start, window_end, promised, fetched, stored, rejected,"
        " max_modified_on, server_time, run_id, finished_at"
        f" FROM st_ops.chunks WHERE {tenant} ORDER BY finished_at",
        params,
    )
    runs = warehouse.query(
        "SELECT run_id, flow, status, started_at, finished_at, detail"
        f" FROM st_ops.runs WHERE {tenant} ORDER BY started_at DESC LIMIT 1",
        params,
    )
    end = max((c["window_end"] for c in chunks if c["window_end"]), default=datetime.now(UTC))
    entities = [
        _entity(
            warehouse,
            entity,
            [c for c in chunks if c["entity"] == entity.name],
            Window(midnight(settings.history_start, settings.zone), end),
            tenant,
            settings,
        )
        for entity in REGISTRY.values()
    ]
    return Health(tuple(entities), LastRun(**runs[0]) if runs else None)


def _entity(
    warehouse: Warehouse,
    entity: Entity,
    chunks: list[dict[str, Any]],
    history: Window,
    tenant: str,
    settings: Settings,
) -> EntityHealth:
    rows = warehouse.query(
        f"SELECT COUNT(*) AS n FROM st_raw.{entity.name} WHERE {tenant}",
        {"tenant_id": settings.tenant_id},
    )
    # A window, or a whole entity, that was read again says the same again: only its latest chunk counts.
    counted = list({(c["window_start"], c["window_end"]): c for c in chunks}.values())
    known_until = min((c["server_time"] for c in counted if c["server_time"]), default=None)
    return EntityHealth(
        entity=entity.name,
        rows=int(rows[0]["n"]),
        promised=sum(c["promised"] for c in counted),
        fetched=sum(c["fetched"] for c in counted),
        stored=sum(c["stored"] for c in counted),
        rejected=sum(c["rejected"] for c in counted),
        newest_change=max(
            (c["max_modified_on"] for c in chunks if c["max_modified_on"]), default=None
        ),
        known_until=known_until,
        gaps=_gaps(entity, counted, history, settings.zone),
        last_run=chunks[-1]["run_id"] if chunks else None,
    )


def _gaps(
    entity: Entity, chunks: list[dict[str, Any]], history: Window, zone: ZoneInfo
) -> tuple[str, ...]:
    """The months of history with a part that was never completely fetched."""
    if entity.history is History.WHOLE:
        return () if chunks else ("all",)
    done = [Window(c["window_start"], c["window_end"]) for c in chunks if not c["rejected"]]
    if history.start >= history.end:
        return ()
    months: dict[str, None] = {}
    for gap in missing(history, done):
        months |= dict.fromkeys(_months(gap, zone))
    return tuple(months)


def _months(gap: Window, zone: ZoneInfo) -> list[str]:
    day, last = gap.start.astimezone(zone).date(), gap.end.astimezone(zone).date()
    found = []
    while (day.year, day.month) <= (last.year, last.month):
        first = date(day.year, day.month, 1)
        if midnight(first, zone) < gap.end:
            found.append(f"{first:%Y-%m}")
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return found


def as_dict(health: Health) -> dict[str, Any]:
    """Plain data for JSON; times are ISO 8601 in UTC."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    found: dict[str, Any] = plain(asdict(health))
    return found
