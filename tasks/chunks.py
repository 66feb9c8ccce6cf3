"""Planning, fetching and storing chunks."""

import asyncio
from datetime import datetime
from typing import Any

from prefect import Task, task
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from st_kpi.errors import IncompleteChunk
from st_kpi.ingest import changes, chunk, plan
from st_kpi.ingest.manifest import Kind, Watermark
from st_kpi.ingest.plan import Chunk, Gap
from st_kpi.ingest.session import shared_session
from st_kpi.servicetitan.registry import entity as entity_named
from st_kpi.warehouse.base import Merged
from st_kpi.windows import Window
from tasks import SERVICETITAN_API, WAREHOUSE_WRITE, raw_asset


def _moved_while_read(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Only a chunk whose rows moved is worth another try here: the client has retried all else."""
    return isinstance(state.data, IncompleteChunk)


@task(
    name="plan-chunks",
    task_run_name="plan {entity}",
    tags={SERVICETITAN_API},
    cache_policy=NO_CACHE,
)
async def plan_chunks(entity: str, start: datetime, end: datetime) -> list[Chunk]:
    """The chunks of an entity that are still to be fetched for ``createdOn`` in ``[start, end)``."""
    async with shared_session() as session:
        return await plan.plan(session, entity_named(entity), Window(start, end))


@task(
    name="find-gaps",
    task_run_name="gaps of {entity}",
    tags={SERVICETITAN_API},
    cache_policy=NO_CACHE,
)
async def find_gaps(entity: str, start: datetime, end: datetime) -> list[Chunk]:
    """The chunks in which source and warehouse hold different numbers of rows for ``createdOn`` in ``[start, end)``."""
    async with shared_session() as session:
        return await plan.gaps(session, entity_named(entity), Window(start, end))


@task(
    name="compare-history",
    task_run_name="compare {entity}",
    tags={SERVICETITAN_API},
    cache_policy=NO_CACHE,
)
async def compare_history(entity: str, until: datetime) -> Gap | None:
    """The days in which the source holds another number of rows than what was loaded of it, if any."""
    async with shared_session() as session:
        return await plan.gap_in_history(session, entity_named(entity), until)


@task(
    name="find-new-windows",
    task_run_name="new {entity}",
    tags={SERVICETITAN_API},
    cache_policy=NO_CACHE,
)
async def new_windows(entity: str, now: datetime) -> list[Chunk]:
    """The windows of what was created since the history was last read."""
    async with shared_session() as session:
        return await changes.new_windows(session, entity_named(entity), now)


@task(
    name="find-touched-windows",
    task_run_name="days of {entity}",
    tags={SERVICETITAN_API},
    cache_policy=NO_CACHE,
)
async def touched_windows(
    entity: str, mark: Watermark, now: datetime, run_id: str
) -> tuple[list[Chunk], Watermark]:
    """The windows of an entity without a key to read anew, and the watermark that then holds."""
    async with shared_session() as session:
        return await changes.touched_windows(session, entity_named(entity), mark, now, run_id)


@task(
    name="fetch-chunk",
    task_run_name="fetch {entity}",
    tags={SERVICETITAN_API},
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_moved_while_read,
    cache_policy=NO_CACHE,
)
async def fetch_chunk(
    entity: str, window: Window | None, run_id: str, kind: Kind | None = None
) -> chunk.Fetched:
    """Every page of a chunk, typed on disk."""
    async with shared_session() as session:
        return await chunk.fetch(session, entity_named(entity), window, run_id, kind)


@task(
    name="fetch-changes",
    task_run_name="changes of {entity}",
    tags={SERVICETITAN_API},
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_moved_while_read,
    cache_policy=NO_CACHE,
)
async def fetch_changes(entity: str, mark: Watermark, run_id: str) -> chunk.Fetched:
    """What changed since the watermark, or the next stretch of it, typed on disk."""
    async with shared_session() as session:
        return await changes.fetch_changes(session, entity_named(entity), mark, run_id)


@task(
    name="fetch-sweep",
    task_run_name="sweep {entity}",
    tags={SERVICETITAN_API},
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_moved_while_read,
    cache_policy=NO_CACHE,
)
async def fetch_sweep(entity: str, now: datetime, run_id: str) -> chunk.Fetched:
    """What the list says was modified within the lookback, typed on disk."""
    async with shared_session() as session:
        return await changes.fetch_sweep(session, entity_named(entity), now, run_id)


async def store_chunk(fetched: chunk.Fetched, run_id: str, mark: Watermark | None = None) -> Merged:
    """A fetched chunk merged and recorded in one transaction, with the watermark it brings forward."""
    task = _store.with_options(assets=[raw_asset(fetched.entity.name)])
    return await task(fetched, run_id, mark)


@materialize(
    raw_asset("any"),  # which one is known when it is called
    name="store-chunk",
    task_run_name="store {fetched.entity.name}",
    tags={WAREHOUSE_WRITE},
    cache_policy=NO_CACHE,
)
async def _store(fetched: chunk.Fetched, run_id: str, mark: Watermark | None) -> Merged:
    async with shared_session() as session:
        return await asyncio.to_thread(chunk.store, session, fetched, run_id, mark)
