"""How complete and how fresh the warehouse is, per entity: what ``st-kpi status`` answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from st_kpi.errors import NothingLoaded
from st_kpi.ingest.manifest import Kind
from st_kpi.servicetitan.registry import REGISTRY, Entity, History
from st_kpi.settings import Settings
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import KNOWN_UNTIL
from st_kpi.windows import Window, midnight, missing, months


@dataclass(frozen=True)
class EntityHealth:
    """One entity's counts, in rows, and times, in UTC.

    Promised, fetched and stored are those of its history, ``rows`` what is in the table now, ``rejected`` the records
    refused that have not come right since. ``known_until`` is the source's clock up to which everything is known, and
    ``token`` where its feed goes on. ``gaps`` are the tenant's months, ``2023-04``, of history that no complete chunk
    covers.
    """

    entity: str
    rows: int
    promised: int
    fetched: int
    stored: int
    rejected: int
    newest_change: datetime | None
    known_until: datetime | None
    token: str | None
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
    chunks = _by_entity(
        warehouse,
        "SELECT entity, kind, window_start, window_end, promised, fetched, stored, rejected,"
        " max_modified_on, run_id, finished_at"
        f" FROM st_ops.chunks WHERE {tenant} ORDER BY finished_at",
        params,
    )
    known = _by_entity(
        warehouse,
        "SELECT known.entity, known.known_until, mark.token"
        f" FROM (SELECT entity, tenant_id, known_until FROM ({KNOWN_UNTIL}) AS read WHERE {tenant}) AS known"
        " LEFT JOIN st_ops.watermarks AS mark"
        " ON mark.tenant_id = known.tenant_id AND mark.entity = known.entity",
        params,
    )
    refused = _by_entity(
        warehouse,
        "SELECT entity, COUNT(DISTINCT source_id) AS n FROM st_ops.rejects"
        f" WHERE resolved_at IS NULL AND {tenant} GROUP BY entity",
        params,
    )
    runs = warehouse.query(
        "SELECT run_id, flow, status, started_at, finished_at, detail"
        f" FROM st_ops.runs WHERE {tenant} ORDER BY started_at DESC LIMIT 1",
        params,
    )
    ends = [c["window_end"] for rows in chunks.values() for c in rows if c["kind"] == Kind.CREATED]
    history = Window(
        midnight(settings.history_start, settings.zone), max(ends, default=datetime.now(UTC))
    )
    entities = [
        _entity(
            warehouse,
            entity,
            chunks.get(entity.name, []),
            (known.get(entity.name) or [{"known_until": None, "token": None}])[0],
            (refused.get(entity.name) or [{"n": 0}])[0]["n"],
            history,
            tenant,
            settings,
        )
        for entity in REGISTRY.values()
    ]
    return Health(tuple(entities), LastRun(**runs[0]) if runs else None)


def _by_entity(
    warehouse: Warehouse, sql: str, params: Mapping[str, object]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in warehouse.query(sql, params):
        found.setdefault(row["entity"], []).append(row)
    return found


def _entity(
    warehouse: Warehouse,
    entity: Entity,
    chunks: list[dict[str, Any]],
    known: Mapping[str, Any],
    refused: int,
    history: Window,
    tenant: str,
    settings: Settings,
) -> EntityHealth:
    rows = warehouse.query(
        f"SELECT COUNT(*) AS n FROM st_raw.{entity.name} WHERE {tenant}",
        {"tenant_id": settings.tenant_id},
    )
    # A window, or a whole entity, that was read again says the same again: only its latest chunk counts.
    counted = list(
        {
            (c["window_start"], c["window_end"]): c
            for c in chunks
            if c["kind"] in (Kind.CREATED, Kind.WHOLE)
        }.values()
    )
    return EntityHealth(
        entity=entity.name,
        rows=int(rows[0]["n"]),
        promised=sum(c["promised"] for c in counted),
        fetched=sum(c["fetched"] for c in counted),
        stored=sum(c["stored"] for c in counted),
        rejected=int(refused),
        newest_change=max(
            (c["max_modified_on"] for c in chunks if c["max_modified_on"]), default=None
        ),
        known_until=known["known_until"],
        token=known["token"],
        gaps=_gaps(entity, counted, history, settings),
        last_run=chunks[-1]["run_id"] if chunks else None,
    )


def _gaps(
    entity: Entity, chunks: list[dict[str, Any]], history: Window, settings: Settings
) -> tuple[str, ...]:
    """The months of history with a part that was never completely fetched."""
    if entity.history is History.WHOLE:
        return () if chunks else ("all",)
    zone, tolerated = settings.zone, settings.tolerated_rejects
    done = [
        Window(c["window_start"], c["window_end"]) for c in chunks if c["rejected"] <= tolerated
    ]
    if history.start >= history.end:
        return ()
    labels = [
        f"{month.start.astimezone(zone):%Y-%m}"
        for gap in missing(history, done)
        for month in months(gap, zone)
    ]
    return tuple(dict.fromkeys(labels))


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
