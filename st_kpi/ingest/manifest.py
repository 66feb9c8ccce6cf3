"""What was promised, fetched and stored, per entity and window: the truth about completeness.

A row is written in the transaction that stores the data, so there is none for anything half-done.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from st_kpi.ingest.normalize import Reject
from st_kpi.ingest.session import Session
from st_kpi.warehouse.base import Merged
from st_kpi.warehouse.system_tables import KNOWN_UNTIL
from st_kpi.windows import Window


class Kind(StrEnum):
    """How the rows of a chunk were asked for."""

    CREATED = "created"  # a createdOn window of the history
    WHOLE = "whole"  # everything there is
    FEED = "feed"  # the export from a token or a day on; it promises no number of rows
    MODIFIED = "modified"  # what changed since a moment, from the list
    AGAIN = "again"  # a createdOn window that a sync reads anew to replace its rows
    SWEEP = "sweep"  # the weekly look back over what changed, from the list


@dataclass(frozen=True)
class ChunkRecord:
    """One chunk that is complete: the source promised ``promised`` rows and they are accounted for.

    ``window`` is one of ``createdOn`` or, for the kinds modified and sweep, of ``modifiedOn``. ``missed`` are rows of a
    sweep that should have been here already.
    """

    entity: str
    kind: Kind
    typing: str
    window: Window | None
    promised: int | None
    fetched: int
    rejected: int
    max_modified_on: datetime | None
    server_time: datetime | None
    run_id: str
    started_at: datetime
    missed: int = 0


@dataclass(frozen=True)
class Watermark:
    """From where the changes of an entity are still to be read.

    ``token`` is where its feed goes on. ``modified_on`` is the newest change received and ``known_until`` the source's
    clock when the reading began that this stands for, both in UTC: a row that changes behind the reader is newer than
    that and must be met again. ``since`` is what a reading without a token starts from.
    """

    token: str | None
    modified_on: datetime | None
    known_until: datetime | None
    run_id: str | None = None

    @property
    def since(self) -> datetime | None:
        return min((t for t in (self.modified_on, self.known_until) if t), default=None)


def record_chunk(session: Session, chunk: ChunkRecord, merged: Merged) -> None:
    """Write the chunk's row; call it inside the transaction that stored the data."""
    window = chunk.window
    session.warehouse.insert(
        "st_ops.chunks",
        [
            {
                "tenant_id": session.tenant_id,
                "entity": chunk.entity,
                "kind": str(chunk.kind),
                "typing": chunk.typing,
                "window_start": window.start if window else None,
                "window_end": window.end if window else None,
                "promised": chunk.promised,
                "fetched": chunk.fetched,
                "distinct_rows": merged.distinct,
                "stored": merged.stored,
                "changed": merged.changed,
                "rejected": chunk.rejected,
                "vanished": merged.vanished,
                "missed": chunk.missed,
                "max_modified_on": chunk.max_modified_on,
                "server_time": chunk.server_time,
                "run_id": chunk.run_id,
                "started_at": chunk.started_at,
                "finished_at": datetime.now(UTC),
            }
        ],
    )


def record_watermark(session: Session, entity: str, mark: Watermark) -> None:
    """Replace the entity's watermark; call it inside the transaction that stored the data it stands for."""
    key = {"tenant_id": session.tenant_id, "entity": entity}
    with session.warehouse.transaction():
        session.warehouse.execute(
            "DELETE FROM st_ops.watermarks WHERE tenant_id = @tenant_id AND entity = @entity", key
        )
        session.warehouse.insert(
            "st_ops.watermarks",
            [
                key
                | {
                    "token": mark.token,
                    "modified_on": mark.modified_on,
                    "known_until": mark.known_until,
                    "run_id": mark.run_id,
                    "saved_at": datetime.now(UTC),
                }
            ],
        )


def record_rejects(session: Session, entity: str, run_id: str, rejects: Iterable[Reject]) -> None:
    """Keep every field that kept a record out."""
    now = datetime.now(UTC)
    session.warehouse.insert(
        "st_ops.rejects",
        [
            {
                "tenant_id": session.tenant_id,
                "entity": entity,
                "source_id": reject.source_id,
                "field": reject.field,
                "value": reject.value,
                "reason": reject.reason,
                "run_id": run_id,
                "rejected_at": now,
            }
            for reject in rejects
        ],
    )


def record_drift(session: Session, entity: str, run_id: str, fields: Iterable[str]) -> None:
    """Keep each field that the models do not know, once per entity, with when it was first and last seen."""
    seen = set(fields)
    if not seen:
        return
    key = {"tenant_id": session.tenant_id, "entity": entity}
    now = datetime.now(UTC)
    known = {
        row["field"]
        for row in session.warehouse.query(
            "SELECT field FROM st_ops.schema_drift WHERE tenant_id = @tenant_id AND entity = @entity",
            key,
        )
    }
    session.warehouse.execute(
        "UPDATE st_ops.schema_drift SET last_seen_at = @now"
        " WHERE tenant_id = @tenant_id AND entity = @entity AND field IN UNNEST(@fields)",
        key | {"now": now, "fields": sorted(seen)},
    )
    session.warehouse.insert(
        "st_ops.schema_drift",
        [
            key | {"field": field, "run_id": run_id, "first_seen_at": now, "last_seen_at": now}
            for field in sorted(seen - known)
        ],
    )


def complete_windows(session: Session, entity: str, typing: str) -> list[Window]:
    """The ``createdOn`` windows of the entity that need not be fetched again, if typed as they would be now."""
    rows = session.warehouse.query(
        "SELECT window_start, window_end FROM st_ops.chunks"
        " WHERE tenant_id = @tenant_id AND entity = @entity AND kind IN ('created', 'again')"
        " AND rejected <= @tolerated AND typing = @typing",
        {
            "tenant_id": session.tenant_id,
            "entity": entity,
            "typing": typing,
            "tolerated": session.settings.tolerated_rejects,
        },
    )
    return [Window(row["window_start"], row["window_end"]) for row in rows]


#: Chunks of the history, which a backfill loads; the others are of a sync.
HISTORY_KINDS = (Kind.CREATED, Kind.WHOLE)


def completeness(
    session: Session,
    run_id: str,
    entities: Iterable[str],
    kinds: Collection[Kind] = tuple(Kind),
) -> list[dict[str, Any]]:
    """Per entity of a run, counted over its chunks of these kinds: rows fetched, stored, changed and so on.

    What failed is there too, with nothing or with fewer rows.
    """
    rows = session.warehouse.query(
        "SELECT entity, COUNT(*) AS chunks, CAST(SUM(fetched) AS INT64) AS fetched,"
        " CAST(SUM(stored) AS INT64) AS stored, CAST(SUM(changed) AS INT64) AS changed,"
        " CAST(SUM(COALESCE(vanished, 0)) AS INT64) AS vanished,"
        " CAST(SUM(COALESCE(missed, 0)) AS INT64) AS missed,"
        " CAST(SUM(rejected) AS INT64) AS rejected"
        " FROM st_ops.chunks WHERE tenant_id = @tenant_id AND run_id = @run_id"
        " AND kind IN UNNEST(@kinds) GROUP BY entity",
        {"tenant_id": session.tenant_id, "run_id": run_id, "kinds": [str(k) for k in kinds]},
    )
    recorded = {row["entity"]: row for row in rows}
    nothing = dict.fromkeys(
        ("chunks", "fetched", "stored", "changed", "vanished", "missed", "rejected"), 0
    )
    return [{"entity": entity} | nothing | recorded.get(entity, {}) for entity in entities]


def watermarks(session: Session) -> dict[str, Watermark]:
    """The watermark of each entity that is loaded: the one a sync left, else where the first one has to begin.

    Before the first sync that is when the oldest window of the history was fetched.
    """
    params = {"tenant_id": session.tenant_id}
    loaded = session.warehouse.query(
        f"SELECT entity, known_until, newest_change FROM ({KNOWN_UNTIL}) AS known"
        " WHERE tenant_id = @tenant_id",
        params,
    )
    marks = {
        row["entity"]: Watermark(None, row["newest_change"], row["known_until"]) for row in loaded
    }
    synced = session.warehouse.query(
        "SELECT entity, token, modified_on, known_until, run_id FROM st_ops.watermarks"
        " WHERE tenant_id = @tenant_id",
        params,
    )
    return marks | {row.pop("entity"): Watermark(**row) for row in synced if row["entity"] in marks}


def swept_at(session: Session) -> dict[str, datetime]:
    """Per entity, when its list was last looked through: by a sweep, else when its history was first read."""
    rows = session.warehouse.query(
        "SELECT entity, COALESCE(MAX(IF(kind = 'sweep', server_time, NULL)), MIN(server_time)) AS swept_at"
        " FROM st_ops.chunks WHERE tenant_id = @tenant_id AND server_time IS NOT NULL GROUP BY entity",
        {"tenant_id": session.tenant_id},
    )
    return {row["entity"]: row["swept_at"] for row in rows}


def outstanding_rejects(session: Session, entity: str) -> list[str]:
    """Ids of the records that were refused and have not come in a form that fits since."""
    rows = session.warehouse.query(
        "SELECT DISTINCT source_id FROM st_ops.rejects"
        " WHERE tenant_id = @tenant_id AND entity = @entity AND resolved_at IS NULL"
        " AND source_id IS NOT NULL ORDER BY source_id",
        {"tenant_id": session.tenant_id, "entity": entity},
    )
    return [row["source_id"] for row in rows]


def resolve_rejects(session: Session, entity: str, ids: Iterable[str]) -> None:
    """Note that these records fit now."""
    session.warehouse.execute(
        "UPDATE st_ops.rejects SET resolved_at = @now"
        " WHERE tenant_id = @tenant_id AND entity = @entity AND resolved_at IS NULL"
        " AND source_id IN UNNEST(@ids)",
        {
            "tenant_id": session.tenant_id,
            "entity": entity,
            "ids": list(ids),
            "now": datetime.now(UTC),
        },
    )


#: A feed shows a change up to so long after it was made.
FEED_DELAY = timedelta(minutes=15)


def missed(
    session: Session, entity: str, run_id: str, since: datetime, known_until: datetime
) -> int:
    """Rows that a reading since ``since`` brought, which earlier ones should have: older than ``known_until``."""
    (row,) = session.warehouse.query(
        f"SELECT COUNT(*) AS n FROM st_raw.{entity} WHERE tenant_id = @tenant_id AND _run_id = @run_id"
        " AND _loaded_at >= @since AND COALESCE(modified_on, created_on, @old) < @old",
        {
            "tenant_id": session.tenant_id,
            "run_id": run_id,
            "since": since,
            "old": known_until - FEED_DELAY,
        },
    )
    return int(row["n"])
