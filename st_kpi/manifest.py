"""What was promised, fetched and stored, per entity and window: the truth about completeness.

A row is written in the transaction that stores the data, so there is none for anything half-done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from st_kpi.session import Session
from st_kpi.typed import Reject
from st_kpi.warehouse.base import Merged
from st_kpi.warehouse.operations import KNOWN_UNTIL
from st_kpi.windows import Window


@dataclass(frozen=True)
class ChunkRecord:
    """One chunk that is complete: the source promised ``promised`` rows and they are accounted for."""

    entity: str
    typing: str
    window: Window | None
    promised: int
    fetched: int
    rejected: int
    max_modified_on: datetime | None
    server_time: datetime | None
    run_id: str
    started_at: datetime


def record_chunk(session: Session, chunk: ChunkRecord, merged: Merged) -> None:
    """Write the chunk's row; call it inside the transaction that stored the data."""
    window = chunk.window
    session.warehouse.insert(
        "st_ops.chunks",
        [
            {
                "tenant_id": session.tenant_id,
                "entity": chunk.entity,
                "kind": "whole" if window is None else "created",
                "typing": chunk.typing,
                "window_start": window.start if window else None,
                "window_end": window.end if window else None,
                "promised": chunk.promised,
                "fetched": chunk.fetched,
                "distinct_rows": merged.distinct,
                "stored": merged.stored,
                "changed": merged.changed,
                "rejected": chunk.rejected,
                "max_modified_on": chunk.max_modified_on,
                "server_time": chunk.server_time,
                "run_id": chunk.run_id,
                "started_at": chunk.started_at,
                "finished_at": datetime.now(UTC),
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
    """Keep each field that the models do not know, once per entity."""
    known = {
        row["field"]
        for row in session.warehouse.query(
            "SELECT field FROM st_ops.schema_drift WHERE tenant_id = @tenant_id AND entity = @entity",
            {"tenant_id": session.tenant_id, "entity": entity},
        )
    }
    now = datetime.now(UTC)
    session.warehouse.insert(
        "st_ops.schema_drift",
        [
            {
                "tenant_id": session.tenant_id,
                "entity": entity,
                "field": field,
                "run_id": run_id,
                "seen_at": now,
            }
            for field in sorted(set(fields) - known)
        ],
    )


def complete_windows(session: Session, entity: str, typing: str) -> list[Window]:
    """The ``createdOn`` windows of the entity that need not be fetched again, if typed as they would be now."""
    rows = session.warehouse.query(
        "SELECT window_start, window_end FROM st_ops.chunks"
        " WHERE tenant_id = @tenant_id AND entity = @entity AND kind = 'created' AND rejected = 0"
        " AND typing = @typing",
        {"tenant_id": session.tenant_id, "entity": entity, "typing": typing},
    )
    return [Window(row["window_start"], row["window_end"]) for row in rows]


def completeness(
    session: Session, run_id: str, planned: Mapping[str, int | None]
) -> list[dict[str, Any]]:
    """Per entity of a run: rows promised by its plan (None: could not be asked), fetched, stored, changed, rejected.

    What failed is there too, with fewer rows than were promised.
    """
    rows = session.warehouse.query(
        "SELECT entity, COUNT(*) AS chunks, CAST(SUM(fetched) AS INT64) AS fetched,"
        " CAST(SUM(stored) AS INT64) AS stored, CAST(SUM(changed) AS INT64) AS changed,"
        " CAST(SUM(rejected) AS INT64) AS rejected"
        " FROM st_ops.chunks WHERE tenant_id = @tenant_id AND run_id = @run_id GROUP BY entity",
        {"tenant_id": session.tenant_id, "run_id": run_id},
    )
    recorded = {row["entity"]: row for row in rows}
    nothing = dict.fromkeys(("chunks", "fetched", "stored", "changed", "rejected"), 0)
    return [
        {"entity": entity, "promised": promised} | nothing | recorded.get(entity, {})
        for entity, promised in planned.items()
    ]


def watermarks(session: Session) -> dict[str, datetime | None]:
    """Per entity, from when changes are still to be read, in UTC.

    That is the smaller of the newest ``modified_on`` received and the source's clock when the oldest of its windows was
    fetched: a row that changes behind the reader is newer than that and must be met again.
    """
    rows = session.warehouse.query(
        f"SELECT entity, known_until, newest_change FROM ({KNOWN_UNTIL}) AS known"
        " WHERE tenant_id = @tenant_id",
        {"tenant_id": session.tenant_id},
    )
    return {
        row["entity"]: min(
            (t for t in (row["newest_change"], row["known_until"]) if t), default=None
        )
        for row in rows
    }


def start_run(session: Session, flow: str, run_id: str) -> None:
    """Note that a run began; its status stays ``running`` until it ends.

    A run of the same flow that still says so was killed: there is one writer.
    """
    session.warehouse.execute(
        "UPDATE st_ops.runs SET status = 'failed', detail = 'The run was killed.'"
        " WHERE status = 'running' AND flow = @flow AND tenant_id = @tenant_id",
        {"flow": flow, "tenant_id": session.tenant_id},
    )
    session.warehouse.insert(
        "st_ops.runs",
        [
            {
                "run_id": run_id,
                "tenant_id": session.tenant_id,
                "flow": flow,
                "status": "running",
                "started_at": datetime.now(UTC),
            }
        ],
    )


def finish_run(session: Session, run_id: str, problems: list[str]) -> None:
    """Note how a run ended: ``completed``, or ``failed`` and why."""
    session.warehouse.execute(
        "UPDATE st_ops.runs SET status = @status, detail = @detail, finished_at = @now"
        " WHERE run_id = @run_id",
        {
            "status": "failed" if problems else "completed",
            "detail": " ".join(problems),
            "now": datetime.now(UTC),
            "run_id": run_id,
        },
    )
