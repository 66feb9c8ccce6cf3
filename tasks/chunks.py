"""Planning, fetching and storing chunks."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from st_kpi.errors import IncompleteChunk
from st_kpi.ingest import changes, chunk, plan
from st_kpi.ingest.fetched import Fetched
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.outside import Outside, outside_history
from st_kpi.ingest.plan import Chunk, Gap
from st_kpi.ingest.session import shared_session
from st_kpi.ingest.watermarks import Watermark
from st_kpi.servicetitan.registry import Entity
from st_kpi.warehouse.base import Merged
from st_kpi.windows import Window
from tasks import SERVICETITAN_API, WAREHOUSE_WRITE, raw_asset

P = ParamSpec("P")
R = TypeVar("R")


def _moved_while_read(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Only a chunk whose rows moved is worth another try here: the client has retried all else."""
    return isinstance(state.data, IncompleteChunk)


def _asks(name: str, run_name: str, *, tries: int = 1) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task that calls the API; with more ``tries`` than one, again where rows moved while it read."""
    return task(
        name=name,
        task_run_name=run_name,
        tags={SERVICETITAN_API},
        retries=tries - 1,
        retry_delay_seconds=5,
        retry_condition_fn=_moved_while_read,
        cache_policy=NO_CACHE,
    )


@_asks("plan-chunks", "plan {entity.name}")
async def plan_chunks(entity: Entity, span: Window) -> list[Chunk]:
    """The chunks of an entity that are still to be fetched for ``createdOn`` in the window."""
    async with shared_session() as session:
        return await plan.missing_chunks(session, entity, span)


@_asks("find-gaps", "find gaps of {entity.name}")
async def find_gaps(entity: Entity, span: Window) -> list[Chunk]:
    """The chunks in which source and warehouse hold different numbers of rows for ``createdOn`` in the window."""
    async with shared_session() as session:
        return await plan.gaps(session, entity, span)


@_asks("compare-history", "compare {entity.name}")
async def compare_history(entity: Entity, until: datetime) -> Gap | None:
    """The days in which the source holds another number of rows than what was loaded of it, if any."""
    async with shared_session() as session:
        return await plan.gap_in_history(session, entity, until)


@_asks("count-outside", "outside of {entity.name}")
async def count_outside(entity: Entity, now: datetime) -> Outside:
    """What the source has of an entity before the first day loaded, or without a ``createdOn``."""
    async with shared_session() as session:
        return await outside_history(session, entity, now)


@_asks("find-new-windows", "new {entity.name}")
async def new_windows(entity: Entity, until: datetime | None, now: datetime) -> list[Chunk]:
    """The windows of what was created since the history was last read."""
    async with shared_session() as session:
        return await changes.new_windows(session, entity, until, now)


@_asks("find-touched-windows", "days of {entity.name}")
async def changed_windows(
    entity: Entity, mark: Watermark, now: datetime, run_id: str
) -> tuple[list[Chunk], Watermark]:
    """The windows of an entity without a key to read anew, and the watermark that then holds."""
    async with shared_session() as session:
        return await changes.changed_windows(session, entity, mark, now, run_id)


@_asks("fetch-chunk", "fetch {entity.name}", tries=3)
async def fetch_chunk(
    entity: Entity, window: Window | None, run_id: str, mode: ReadMode | None = None
) -> Fetched:
    """Every page of a chunk, normalized on disk."""
    async with shared_session() as session:
        return await chunk.fetch(session, entity, window, run_id, mode)


@_asks("fetch-changes", "changes of {entity.name}", tries=3)
async def fetch_changes(entity: Entity, mark: Watermark, run_id: str) -> Fetched:
    """What changed since the watermark, or the next stretch of it, normalized on disk."""
    async with shared_session() as session:
        return await changes.fetch_changes(session, entity, mark, run_id)


@_asks("fetch-sweep", "sweep {entity.name}", tries=3)
async def fetch_sweep(entity: Entity, now: datetime, run_id: str) -> Fetched:
    """What the list says was modified within the lookback, normalized on disk."""
    async with shared_session() as session:
        return await changes.fetch_sweep(session, entity, now, run_id)


async def store_chunk(fetched: Fetched, run_id: str, mark: Watermark | None = None) -> Merged:
    """A fetched chunk merged and recorded in one transaction, with the watermark it brings forward."""
    store = _store.with_options(assets=[raw_asset(fetched.entity.name)])
    return await store(fetched, run_id, mark)


@materialize(
    raw_asset("any"),  # which one is known when it is called
    name="store-chunk",
    task_run_name="store {fetched.entity.name}",
    tags={WAREHOUSE_WRITE},
    cache_policy=NO_CACHE,
)
async def _store(fetched: Fetched, run_id: str, mark: Watermark | None) -> Merged:
    async with shared_session() as session:
        return await asyncio.to_thread(chunk.store, session, fetched, run_id, mark)
