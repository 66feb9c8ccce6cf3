"""How complete and how fresh the warehouse is, per entity: what ``st-kpi status`` answers."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from st_kpi.errors import NothingLoaded
from st_kpi.ingest.manifest import HISTORY_MODES, Manifest, ReadMode
from st_kpi.ingest.rejects import Rejects
from st_kpi.ingest.runs import LastRun, last_run
from st_kpi.ingest.stored import StoredRows
from st_kpi.ingest.watermarks import Watermarks
from st_kpi.servicetitan.registry import REGISTRY, Entity, History
from st_kpi.settings import Settings
from st_kpi.warehouse.base import Warehouse
from st_kpi.windows import Window, midnight, missing, months

Row = dict[str, Any]


@dataclass(frozen=True)
class EntityStatus:
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
class Status:
    """Every entity, loaded or not, and the newest run."""

    entities: tuple[EntityStatus, ...]
    last_run: LastRun | None


def read(warehouse: Warehouse, settings: Settings) -> Status:
    """Read the manifest; raises ``NothingLoaded`` before the first backfill."""
    if not warehouse.table_exists("st_ops.chunks"):
        raise NothingLoaded("Nothing is loaded yet: run `st-kpi backfill` first.")
    tenant_id = settings.tenant_id
    chunks = _by_entity(Manifest(warehouse, tenant_id).chunks())
    marks = _by_entity(Watermarks(warehouse, tenant_id).reached())
    rejected = Rejects(warehouse, tenant_id).outstanding_counts()
    stored = StoredRows(warehouse, tenant_id)
    history = _history(settings, chunks)
    entities = []
    for entity in REGISTRY.values():
        name = entity.name
        mark = marks[name][0] if marks[name] else {"known_until": None, "token": None}
        entities.append(
            EntityStatus(
                entity=name,
                rows=stored.count(entity),
                rejected=rejected.get(name, 0),
                **mark,
                **_counts(chunks[name]),
                gaps=_gaps(entity, _counted(chunks[name]), history, settings),
            )
        )
    return Status(tuple(entities), last_run(warehouse, tenant_id))


def _by_entity(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    """The rows of each entity, without its name."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.pop("entity")].append(row)
    return groups


def _history(settings: Settings, chunks: dict[str, list[Row]]) -> Window:
    """The time that should be loaded: up to the end of the last window that was."""
    rows = [row for group in chunks.values() for row in group]
    ends = [row["window_end"] for row in rows if row["kind"] == ReadMode.CREATED]
    start = midnight(settings.history_start, settings.zone)
    return Window(start, max(ends, default=datetime.now(UTC)))


def _counts(chunks: list[Row]) -> Row:
    """What the chunks of an entity, the last one last, add up to."""
    counted = _counted(chunks)
    times = [chunk["max_modified_on"] for chunk in chunks if chunk["max_modified_on"]]
    return {name: sum(c[name] for c in counted) for name in ("promised", "fetched", "stored")} | {
        "newest_change": max(times, default=None),
        "last_run": chunks[-1]["run_id"] if chunks else None,
    }


def _counted(chunks: list[Row]) -> list[Row]:
    """The chunks of the history, of each window the latest: one that was read again says the same again."""
    history = [chunk for chunk in chunks if chunk["kind"] in HISTORY_MODES]
    return list({(chunk["window_start"], chunk["window_end"]): chunk for chunk in history}.values())


def _gaps(
    entity: Entity, chunks: list[Row], history: Window, settings: Settings
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


def as_dict(status: Status) -> dict[str, Any]:
    """Plain data for JSON; times are ISO 8601 in UTC."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    document: dict[str, Any] = plain(asdict(status))
    return document
