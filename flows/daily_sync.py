"""``daily-sync``: what changed since each entity's watermark, in whatever way the entity tells."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.parameters import EntityName
from st_kpi.errors import DiskFull, NothingLoaded, RunFailed
from st_kpi.ingest import manifest, problems
from st_kpi.ingest.changes import sweep_due
from st_kpi.ingest.chunk import advanced
from st_kpi.ingest.manifest import Kind, Watermark
from st_kpi.ingest.plan import Chunk, source_time, wanted_entities
from st_kpi.ingest.session import Session, shared_session
from st_kpi.local.process import mute_at_exit
from st_kpi.servicetitan.registry import Changes, Entity, History
from tasks import events
from tasks.artifacts import changes_table
from tasks.caps import release_limits
from tasks.chunks import (
    compare_history,
    fetch_changes,
    fetch_chunk,
    fetch_sweep,
    new_windows,
    store_chunk,
    touched_windows,
)
from tasks.gcp_credentials import google_credentials
from tasks.rate_limit import ensure_limits
from tasks.states import completed
from tasks.watermarks import move_watermark, read_watermarks, save_watermarks

#: Entities in work at once, as chunks of a backfill.
PARALLEL_ENTITIES = 3


def _run_name() -> str:
    """For example ``changes of invoices, payments``."""
    entities = flow_run.parameters.get("entities")
    return f"changes of {', '.join(entities) if entities else 'everything'}"


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
        own_run = run_id is None
        run_id = run_id or str(flow_run.id)
        await ensure_limits()
        marks = await read_watermarks()
        names = _loaded(entities, marks)
        if own_run and await asyncio.to_thread(manifest.start_run, session, "daily-sync", run_id):
            await release_limits()
        swept = await asyncio.to_thread(manifest.swept_at, session)
        now = await source_time(session)

        async def one(entity: Entity) -> None:
            await _bring_up_to_date(entity, marks[entity.name], now, run_id)
            if sweep_due(entity, swept.get(entity.name), now, asked=sweep):
                await _sweep(session, entity, marks[entity.name], now, run_id)

        found = await _each(session, names, one)
        rows = await asyncio.to_thread(manifest.completeness, session, run_id, names)
        found += await asyncio.to_thread(problems.of_rejects, session, rows)
        failures = [sentence for sentence in found if sentence]

        await save_watermarks(names)
        await changes_table(rows)
        if own_run:
            await asyncio.to_thread(manifest.finish_run, session, run_id, failures)
            known = [marks[name].known_until for name in names]
            since = min((time for time in known if time), default=None)
            events.data_loaded(
                *("daily-sync", session.tenant_id, run_id, rows, (since, now)),
                complete=not failures,
            )
        if failures:
            raise RunFailed(f"The sync is incomplete. {' '.join(failures)}")
        changed = sum(row["changed"] for row in rows)
        return completed(run_id, f"{changed:,} rows changed in {len(names)} entities.")


async def _each(
    session: Session, names: list[str], bring_up_to_date: Callable[[Entity], Awaitable[None]]
) -> list[str | None]:
    """Do it for every entity, a few at a time; returns a sentence for each that failed. Raises ``DiskFull``."""
    turns = asyncio.Semaphore(PARALLEL_ENTITIES)

    async def in_turn(entity: Entity) -> None:
        async with turns:
            await bring_up_to_date(entity)

    ended = await asyncio.gather(*map(in_turn, wanted_entities(names)), return_exceptions=True)
    for error in ended:
        if isinstance(error, DiskFull):
            raise error
    return [
        problems.of_error(session, name, error)
        for name, error in zip(names, ended, strict=True)
        if error is not None
    ]


def _loaded(entities: list[str] | None, marks: dict[str, Watermark]) -> list[str]:
    """The entities to bring up to date; what was never loaded has no changes yet."""
    names = [entity.name for entity in wanted_entities(entities)]
    absent = [name for name in names if name not in marks]
    if len(absent) == len(names) and not entities:
        raise NothingLoaded("Nothing is loaded yet: run `st-kpi backfill` first.")
    if absent and entities:
        listed = " ".join(f"--entity {name}" for name in absent)
        raise NothingLoaded(
            f"{', '.join(absent)} is not loaded yet: run `st-kpi backfill {listed}` first."
        )
    return [name for name in names if name in marks]


async def _bring_up_to_date(entity: Entity, mark: Watermark, now: datetime, run_id: str) -> None:
    """Fetch and store until the source has no more; each stretch is durable before the next is asked for."""
    await _store_windows(await new_windows(entity.name, now), Kind.CREATED, run_id)
    if entity.changes is Changes.WINDOWS:
        chunks, reached = await touched_windows(entity.name, mark, now, run_id)
        await _store_windows(chunks, Kind.AGAIN, run_id)
        await move_watermark(entity.name, reached)
        return
    has_more = True
    while has_more:
        fetched = await fetch_changes(entity.name, mark, run_id)
        await store_chunk(fetched, run_id, mark)
        mark, has_more = advanced(mark, fetched, run_id), fetched.has_more


async def _store_windows(chunks: list[Chunk], kind: Kind, run_id: str) -> None:
    for chunk in chunks:
        fetched = await fetch_chunk(chunk.entity, chunk.window, run_id, kind)
        await store_chunk(fetched, run_id)


async def _sweep(
    session: Session, entity: Entity, mark: Watermark, now: datetime, run_id: str
) -> None:
    """Look through the list; what it finds that is older than the watermark was missed.

    A difference that is left then is told, not mended here. Only a sweep tells of it: a repair that does not get rid of a
    difference fails, and must not start the next one.
    """
    fetched = await fetch_sweep(entity.name, now, run_id)
    await store_chunk(fetched, run_id, mark)
    if entity.history is History.CREATED and (gap := await compare_history(entity.name, now)):
        events.gap_found(session.tenant_id, run_id, gap)
