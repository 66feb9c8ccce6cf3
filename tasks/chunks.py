"""Planning, fetching and storing chunks."""

import asyncio
from datetime import datetime
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from st_kpi import ingest, planning
from st_kpi.errors import IncompleteChunk
from st_kpi.servicetitan.registry import entity as entity_named
from st_kpi.session import shared_session
from st_kpi.warehouse.base import Merged
from st_kpi.windows import Window
from tasks import SERVICETITAN_API, WAREHOUSE_WRITE


def _moved_while_read(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Only a chunk whose rows moved is worth another try here: the client has retried all else."""
    return isinstance(state.data, IncompleteChunk)


@task(
    name="plan-chunks",
    task_run_name="plan {entity}",
    tags={SERVICETITAN_API},
    cache_policy=NO_CACHE,
)
async def plan_chunks(entity: str, start: datetime, end: datetime) -> list[planning.Chunk]:
    """The chunks of an entity that are still to be fetched for ``createdOn`` in ``[start, end)``."""
    async with shared_session() as session:
        return await planning.plan(session, entity_named(entity), Window(start, end))


@task(
    name="fetch-chunk",
    task_run_name="fetch {entity}",
    tags={SERVICETITAN_API},
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_moved_while_read,
    cache_policy=NO_CACHE,
)
async def fetch_chunk(entity: str, window: Window | None, run_id: str) -> ingest.Fetched:
    """Every page of a chunk, typed on disk."""
    async with shared_session() as session:
        return await ingest.fetch(session, entity_named(entity), window, run_id)


@task(
    name="store-chunk",
    task_run_name="store {fetched.entity.name}",
    tags={WAREHOUSE_WRITE},
    cache_policy=NO_CACHE,
)
async def store_chunk(fetched: ingest.Fetched, run_id: str) -> Merged:
    """A fetched chunk merged and recorded in one transaction."""
    async with shared_session() as session:
        return await asyncio.to_thread(ingest.store, session, fetched, run_id)
