"""``backfill``: history by ``createdOn`` chunks, side by side, skipping what is complete."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.daily_sync import daily_sync
from flows.ingest_chunk import run_here
from flows.parameters import EntityName, days_in_a_name
from st_kpi.errors import DiskFull, RunFailed
from st_kpi.ingest import changes
from st_kpi.ingest.manifest import HISTORY_MODES
from st_kpi.ingest.plan import Chunk, outlook, source_time, wanted_entities, wanted_window
from st_kpi.ingest.runs import failure_message, outcome, recorded
from st_kpi.ingest.session import Session, shared_session
from st_kpi.local.process import mute_at_exit
from st_kpi.servicetitan.registry import Entity, History
from st_kpi.windows import Window
from tasks import events
from tasks.artifacts import ProgressBar, completeness_table
from tasks.caps import release_limits
from tasks.chunks import count_outside, plan_chunks
from tasks.fan_out import FanOut, hand_over, require_room_for
from tasks.gcp_credentials import google_credentials
from tasks.places import log_outlook, log_places
from tasks.rate_limit import ensure_limits
from tasks.states import completed, counted, tag_warnings
from tasks.watermarks import save_watermarks

#: Chunks in work at once: while one downloads, another is normalized and a third merged. More does not help.
PARALLEL_CHUNKS = 3


def _run_name() -> str:
    """For example ``backfill invoices, payments 2023-01-01..2023-12-31``."""
    parameters = flow_run.parameters
    entities, start, end = (parameters.get(name) for name in ("entities", "start", "end"))
    return (
        f"backfill {', '.join(entities) if entities else 'everything'}{days_in_a_name(start, end)}"
    )


@flow(name="backfill", flow_run_name=_run_name)
async def backfill(
    entities: list[EntityName] | None = None,
    start: date | None = None,
    end: date | None = None,
    fan_out: FanOut = "inside",
) -> str:
    """Load every record created on the tenant's days ``start`` to ``end``; returns the run's id.

    Entities without dates are loaded whole. By default all entities, from ``history_start`` until now. Chunks that the
    manifest calls complete are not fetched again. Ends with what changed since it began. Raises ``RunFailed`` naming
    what could not be loaded, ``DiskFull`` at once; everything else is kept, and the next run fetches only the rest.

    Args:
        entities: Only these; nothing means all of them.
        start: The tenant's day of creation to begin with; nothing means the first of the history.
        end: The tenant's day of creation to end with; nothing means until now.
        fan_out: Where chunks run: inside this run, or as runs of their own on the workers of ingest-chunk/on-workers.
    """
    mute_at_exit()
    async with shared_session(google=google_credentials) as session:
        log_places(session.settings)
        selected = wanted_entities(entities)
        require_room_for(fan_out, session.settings)
        now = await source_time(session)
        span = wanted_window(session.settings, start, end, now)
        run_id = str(flow_run.id)
        async with recorded(session, "backfill", run_id) as run:
            await ensure_limits()
            if run.after_a_kill:
                await release_limits()
            chunks, promised, run.failures = await _plan(session, selected, span)
            log_outlook(outlook(chunks, session.settings))
            run.failures += await _ingest(session, chunks, run_id, fan_out)
            run.failures += await _catch_up(session, selected, run_id)
            outside, failed = await _outside(session, selected, now)
            run.failures += failed
            rows, refused = await outcome(session, run_id, selected, HISTORY_MODES)
            run.failures += refused
            await save_watermarks(selected)
            await completeness_table(rows, promised)
        events.data_loaded(
            flow="backfill",
            tenant_id=session.tenant_id,
            run_id=run_id,
            rows=rows,
            window=(span.start, span.end),
            complete=not run.failures,
        )
        if run.failures:
            raise RunFailed(f"The backfill is incomplete. {run.detail}")
        stored = sum(row.stored for row in rows)
        if outside or any(row.rejected for row in rows):
            await tag_warnings()
        entities_told = counted(len(selected), "entity", "entities")
        return completed(
            run_id,
            f"{counted(stored, 'row', 'rows')} stored in {counted(len(chunks), 'chunk', 'chunks')} of"
            f" {entities_told}.{outside}",
        )


async def _plan(
    session: Session, entities: Sequence[Entity], span: Window
) -> tuple[list[Chunk], dict[str, int], list[str]]:
    """The chunks to fetch, biggest first; the rows they promise, by entity; a sentence for each plan that failed."""
    plans = await asyncio.gather(
        *(plan_chunks(entity, span) for entity in entities), return_exceptions=True
    )
    chunks: list[Chunk] = []
    promised, failures = {}, []
    for entity, plan in zip(entities, plans, strict=True):
        if isinstance(plan, BaseException):
            failures.append(failure_message(session, entity.name, plan))
            continue
        chunks += plan
        promised[entity.name] = sum(chunk.rows for chunk in plan)
        session.progress(entity.name, promised[entity.name], 0)
    return sorted(chunks, key=lambda chunk: -chunk.rows), promised, [f for f in failures if f]


async def _ingest(session: Session, chunks: list[Chunk], run_id: str, fan_out: FanOut) -> list[str]:
    """Run every chunk, a few at a time here, and all at once on workers, whose queue says how many are in work.

    Returns a sentence for each that failed. Raises ``DiskFull``, after which no further chunk is begun.
    """
    full: list[DiskFull] = []
    turns = asyncio.Semaphore(PARALLEL_CHUNKS if fan_out == "inside" else len(chunks) or 1)
    bar = await ProgressBar.start(
        "backfill-progress", "Rows stored of those promised.", sum(chunk.rows for chunk in chunks)
    )

    async def one(chunk: Chunk) -> str | None:
        async with turns:
            if full:
                return None
            run = run_here if fan_out == "inside" else hand_over
            result = await run(chunk, run_id)
        if isinstance(result, DiskFull):
            full.append(result)
            return None
        if isinstance(result, BaseException):
            return failure_message(session, chunk.entity.name, result)
        await bar.advance(chunk.rows)
        return None

    failures = [failure for failure in await asyncio.gather(*map(one, chunks)) if failure]
    if full:
        raise full[0]
    return failures


async def _catch_up(session: Session, entities: Sequence[Entity], run_id: str) -> list[str]:
    """What changed behind the reader: rows edited or deleted meanwhile, which no window shows any more."""
    moving = await changes.moving(session, entities)
    if not moving:
        return []
    names = [entity.name for entity in moving]
    state = await daily_sync(names, run_id=run_id, return_state=True)
    result = await state.aresult(raise_on_failure=False)
    if isinstance(result, DiskFull):
        raise result
    if isinstance(result, BaseException):
        message = failure_message(session, "catch-up", result)
        return [message] if message else []
    return []


async def _outside(
    session: Session, entities: Sequence[Entity], now: datetime
) -> tuple[str, list[str]]:
    """A sentence of what lies outside of the history, empty for nothing, and one for each entity that failed."""
    dated = [entity for entity in entities if entity.history is History.CREATED]
    counts = await asyncio.gather(
        *(count_outside(entity, now) for entity in dated), return_exceptions=True
    )
    found, failures = [], []
    for entity, count in zip(dated, counts, strict=True):
        if isinstance(count, BaseException):
            failures.append(failure_message(session, entity.name, count))
        elif count.older or count.undated:
            found.append(str(count))
    sentence = (
        f" Not loaded, for they lie outside of the history: {'; '.join(found)}." if found else ""
    )
    return sentence, [failure for failure in failures if failure]
