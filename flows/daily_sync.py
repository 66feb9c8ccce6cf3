"""``daily-sync``: what changed since each entity's watermark, in whatever way the entity tells."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.parameters import EntityName
from st_kpi.errors import DiskFull, NothingLoaded, RunFailed
from st_kpi.ingest.changes import due_for_sweep, loaded_until
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.plan import Chunk, source_time, wanted_entities
from st_kpi.ingest.runs import Run, failure_message, outcome, recorded
from st_kpi.ingest.session import Session, shared_session
from st_kpi.ingest.watermarks import Watermark, advanced
from st_kpi.local.process import mute_at_exit
from st_kpi.servicetitan.registry import Changes, Entity, History
from tasks import events
from tasks.artifacts import changes_table
from tasks.caps import release_limits
from tasks.chunks import (
    changed_windows,
    compare_history,
    count_outside,
    fetch_changes,
    fetch_chunk,
    fetch_sweep,
    new_windows,
    store_chunk,
)
from tasks.gcp_credentials import google_credentials
from tasks.places import log_places
from tasks.rate_limit import ensure_limits
from tasks.states import completed, counted, tag_warnings
from tasks.watermarks import move_watermark, read_watermarks, save_watermarks

#: Entities in work at once, as chunks of a backfill.
PARALLEL_ENTITIES = 3


def _run_name() -> str:
    """For example ``sync invoices, payments``."""
    entities = flow_run.parameters.get("entities")
    return f"sync {', '.join(entities) if entities else 'everything'}"


@flow(name="daily-sync", flow_run_name=_run_name)
async def daily_sync(
    entities: list[EntityName] | None = None, sweep: bool = False, run_id: str | None = None
) -> str:
    """Load what changed since the watermarks, deleted rows included; returns the run's id.

    By default all entities that a backfill has loaded. Once a week, or with ``sweep``, the lists are looked through for
    what the feeds did not bring, and the number of rows loaded is compared with ServiceTitan's; where it differs, an
    event names the days. Raises ``NothingLoaded`` for an entity that was never loaded, ``RunFailed`` naming what could
    not be brought up to date; the rest is kept, and the next run goes on from there.

    Args:
        entities: Only these; nothing means all that a backfill has loaded.
        sweep: Look through the lists for what the feeds missed, as happens by itself once a week.
        run_id: The run that asked for this one; leave it empty.
    """
    mute_at_exit()
    async with shared_session(creates=False, google=google_credentials) as session:
        own_run, run_id = run_id is None, run_id or str(flow_run.id)
        if own_run:
            log_places(session.settings)
        await ensure_limits()
        marks = await read_watermarks()
        loaded = _loaded(entities, marks)
        # One that a backfill asked for is a part of that run.
        record = recorded(session, "daily-sync", run_id) if own_run else nullcontext(Run())
        async with record as run:
            if run.after_a_kill:
                await release_limits()
            now = await source_time(session)
            run.failures += await _follow(session, loaded, marks, now, run_id, sweep=sweep)
            rows, refused = await outcome(session, run_id, loaded)
            run.failures += refused
            await save_watermarks(loaded)
            await changes_table(rows)
        if own_run:
            events.data_loaded(
                flow="daily-sync",
                tenant_id=session.tenant_id,
                run_id=run_id,
                rows=rows,
                window=(_known_until(loaded, marks), now),
                complete=not run.failures,
            )
        if run.failures:
            raise RunFailed(f"The sync is incomplete. {run.detail}")
        if own_run and any(row.rejected for row in rows):
            await tag_warnings()
        changed = counted(sum(row.changed for row in rows), "row", "rows")
        return completed(
            run_id, f"{changed} changed in {counted(len(loaded), 'entity', 'entities')}."
        )


async def _follow(
    session: Session,
    entities: list[Entity],
    marks: dict[str, Watermark],
    now: datetime,
    run_id: str,
    *,
    sweep: bool,
) -> list[str]:
    """Bring the entities up to date and look through the lists that it is time for; a sentence for each failure."""
    due = await due_for_sweep(session, entities, now, asked=sweep)
    until = await loaded_until(session, entities)

    async def one(entity: Entity) -> None:
        await _bring_up_to_date(entity, marks[entity.name], until.get(entity.name), now, run_id)
        if entity in due:
            await _sweep(session, entity, marks[entity.name], now, run_id)

    return await _each(session, entities, one)


async def _each(
    session: Session, entities: list[Entity], do: Callable[[Entity], Awaitable[None]]
) -> list[str]:
    """Do it for every entity, a few at a time; returns a sentence for each that failed. Raises ``DiskFull``."""
    turns = asyncio.Semaphore(PARALLEL_ENTITIES)

    async def in_turn(entity: Entity) -> None:
        async with turns:
            await do(entity)

    results = await asyncio.gather(*map(in_turn, entities), return_exceptions=True)
    for result in results:
        if isinstance(result, DiskFull):
            raise result
    messages = [
        failure_message(session, entity.name, error)
        for entity, error in zip(entities, results, strict=True)
        if error is not None
    ]
    return [message for message in messages if message]


def _known_until(entities: list[Entity], marks: dict[str, Watermark]) -> datetime | None:
    """Until when all of the entities were known before."""
    times = [marks[entity.name].known_until for entity in entities]
    return min((time for time in times if time), default=None)


def _loaded(names: list[str] | None, marks: dict[str, Watermark]) -> list[Entity]:
    """The entities to bring up to date; what was never loaded has no changes yet."""
    entities = wanted_entities(names)
    absent = [entity.name for entity in entities if entity.name not in marks]
    if len(absent) == len(entities) and not names:
        raise NothingLoaded("Nothing is loaded yet: run `st-kpi backfill` first.")
    if absent and names:
        listed = " ".join(f"--entity {name}" for name in absent)
        raise NothingLoaded(
            f"{', '.join(absent)} is not loaded yet: run `st-kpi backfill {listed}` first."
        )
    return [entity for entity in entities if entity.name in marks]


async def _bring_up_to_date(
    entity: Entity, mark: Watermark, until: datetime | None, now: datetime, run_id: str
) -> None:
    """Fetch and store until the source has no more; each stretch is durable before the next is asked for."""
    await _store_windows(await new_windows(entity, until, now), ReadMode.CREATED, run_id)
    if entity.changes is Changes.WINDOWS:
        chunks, reached = await changed_windows(entity, mark, now, run_id)
        await _store_windows(chunks, ReadMode.AGAIN, run_id)
        await move_watermark(entity, reached)
        return
    has_more = True
    while has_more:
        fetched = await fetch_changes(entity, mark, run_id)
        await store_chunk(fetched, run_id, mark)
        mark, has_more = advanced(mark, fetched, run_id), fetched.has_more


async def _store_windows(chunks: list[Chunk], mode: ReadMode, run_id: str) -> None:
    for chunk in chunks:
        fetched = await fetch_chunk(chunk.entity, chunk.window, run_id, mode)
        await store_chunk(fetched, run_id)


async def _sweep(
    session: Session, entity: Entity, mark: Watermark, now: datetime, run_id: str
) -> None:
    """Look through the list; what it finds that is older than the watermark was missed.

    A difference that is left then is told, not mended here. Only a sweep tells of it: a repair that does not get rid of a
    difference fails, and must not start the next one.
    """
    fetched = await fetch_sweep(entity, now, run_id)
    await store_chunk(fetched, run_id, mark)
    if entity.history is History.CREATED:
        await count_outside(entity, now)
        if gap := await compare_history(entity, now):
            events.gap_found(session.tenant_id, run_id, gap)
