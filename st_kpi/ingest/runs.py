"""A run of a flow: that it began, what it did, how it ended, and the sentence for what failed in it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from st_kpi.errors import EntityUnavailable, StKpiError
from st_kpi.ingest.manifest import Completeness, ReadMode, of_tenant
from st_kpi.ingest.session import Session
from st_kpi.servicetitan.registry import REQUIRED, Entity
from st_kpi.settings import Settings
from st_kpi.warehouse.base import Warehouse


@dataclass
class Run:
    """A run under way: ``failures`` are sentences for what is missing at its end.

    ``after_a_kill`` says that an earlier run never said how it ended, so that what it held may be held still.
    """

    after_a_kill: bool = False
    failures: list[str] = field(default_factory=list)

    @property
    def detail(self) -> str:
        """What failed, each thing once; empty for a run that is complete."""
        return " ".join(dict.fromkeys(self.failures))


@dataclass(frozen=True)
class LastRun:
    """The newest run of a flow."""

    run_id: str
    flow: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    detail: str | None


@asynccontextmanager
async def recorded(session: Session, flow: str, run_id: str) -> AsyncIterator[Run]:
    """Record that a run begins and, however the block ends, how it ended: ``completed``, or ``failed`` and why.

    A run that only a kill ends stays ``running`` in ``st_ops.runs``: the next one of the same flow, of which there is one
    at a time, says so of it.
    """
    run = Run(after_a_kill=await asyncio.to_thread(_begin, session, flow, run_id))
    try:
        yield run
    except BaseException as error:
        run.failures.append(_sentence(error))
        # Here and now: a run that is being cancelled may not wait for anything. What cannot be written, on a full disk for
        # example, must not hide why the run ended.
        with suppress(Exception):
            _end(session, run_id, run.detail)
        raise
    await asyncio.to_thread(_end, session, run_id, run.detail)


async def outcome(
    session: Session,
    run_id: str,
    entities: Iterable[Entity],
    modes: Collection[ReadMode] = tuple(ReadMode),
) -> tuple[list[Completeness], list[str]]:
    """What a run did for each entity, and a sentence for each with more refused rows than are tolerated."""

    def read() -> tuple[list[Completeness], list[str]]:
        session.rejects.see_again()
        rows = session.manifest.completeness(run_id, entities, modes)
        return rows, session.rejects.messages(rows, session.settings.tolerated_rejects)

    return await asyncio.to_thread(read)


def last_run(warehouse: Warehouse, tenant_id: int | None) -> LastRun | None:
    """The newest run of a tenant, or of all where none is named; None before the first."""
    rows = warehouse.query(
        "SELECT run_id, flow, status, started_at, finished_at, detail"
        f" FROM st_ops.runs WHERE {of_tenant(tenant_id)} ORDER BY started_at DESC LIMIT 1",
        {"tenant_id": tenant_id},
    )
    return LastRun(**rows[0]) if rows else None


def failure_message(session: Session, entity: str, error: BaseException) -> str | None:
    """The sentence for an entity that failed; None where it is unavailable and declared optional.

    What no code of ours raised on purpose, a cancellation for example, is raised again.
    """
    if isinstance(error, EntityUnavailable) and entity in session.settings.optional_entities:
        return None
    if not isinstance(error, Exception):
        raise error
    message = _sentence(error)
    if isinstance(error, EntityUnavailable):
        message = f"{message} {_without(session.settings, error.entity or entity)}"
    return (
        message if isinstance(error, StKpiError) and entity in message else f"{entity}: {message}"
    )


def _without(settings: Settings, entity: str) -> str:
    """The way on where the app may not read an entity, or this tenant has none."""
    grant = "Grant the app its scope in ServiceTitan's developer portal"
    if entity in REQUIRED:
        return f"{grant}: every KPI needs it."
    line = ",".join(sorted({*settings.optional_entities, entity}))
    return f"{grant}, or go on without it by the setting ST_KPI_OPTIONAL_ENTITIES={line}."


def _sentence(error: BaseException) -> str:
    if isinstance(error, StKpiError):
        return str(error)
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {error}"
    return "The run was stopped."


def _begin(session: Session, flow: str, run_id: str) -> bool:
    """Note that a run began; returns whether any flow's run still says that it is under way."""
    tenant = {"tenant_id": session.tenant_id}
    (row,) = session.warehouse.query(
        "SELECT COUNT(*) AS running FROM st_ops.runs"
        " WHERE status = 'running' AND tenant_id = @tenant_id",
        tenant,
    )
    if row["running"]:
        session.warehouse.execute(
            "UPDATE st_ops.runs SET status = 'failed', detail = 'The run was killed.'"
            " WHERE status = 'running' AND flow = @flow AND tenant_id = @tenant_id",
            tenant | {"flow": flow},
        )
    session.warehouse.insert(
        "st_ops.runs",
        [
            tenant
            | {
                "run_id": run_id,
                "flow": flow,
                "status": "running",
                "started_at": datetime.now(UTC),
            }
        ],
    )
    return bool(row["running"])


def _end(session: Session, run_id: str, detail: str) -> None:
    session.warehouse.execute(
        "UPDATE st_ops.runs SET status = @status, detail = @detail, finished_at = @now"
        " WHERE run_id = @run_id",
        {
            "status": "failed" if detail else "completed",
            "detail": detail,
            "now": datetime.now(UTC),
            "run_id": run_id,
        },
    )
