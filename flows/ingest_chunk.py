"""``ingest-chunk``: one window of one entity from ServiceTitan into the warehouse."""

from contextlib import nullcontext
from datetime import datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.parameters import EntityName, zone_for_a_name
from st_kpi.ingest.plan import Chunk
from st_kpi.ingest.session import current_session, shared_session
from st_kpi.local.process import mute_at_exit
from st_kpi.servicetitan.registry import entity as entity_named
from st_kpi.windows import Window
from tasks.chunks import fetch_chunk, store_chunk
from tasks.gcp_credentials import google_credentials
from tasks.places import log_places
from tasks.rate_limit import ensure_limits
from tasks.states import completed, counted
from tasks.writers import sole_writer


def _run_name() -> str:
    """For example ``chunk invoices 2023-04-01..2023-06-30``, in the tenant's days."""
    parameters = flow_run.parameters
    start, end, zone = parameters.get("start"), parameters.get("end"), zone_for_a_name()
    if start is None or end is None or zone is None:
        return f"chunk {parameters['entity']}"
    return f"chunk {parameters['entity']} {Window(start, end).label(zone)}"


@flow(name="ingest-chunk", flow_run_name=_run_name)
async def ingest_chunk(
    entity: EntityName,
    start: datetime | None = None,
    end: datetime | None = None,
    run_id: str | None = None,
) -> int:
    """Fetch and store one chunk; returns how many rows changed in the warehouse.

    A chunk whose rows moved while it was read is fetched again.

    Args:
        entity: What to fetch.
        start: The first instant of creation; nothing reads the entity whole.
        end: The instant of creation to end before; nothing reads the entity whole.
        run_id: The run that asked for this one; leave it empty.
    """
    mute_at_exit()
    alone = current_session() is None  # on a worker, without the backfill that asked for it
    async with shared_session(google=google_credentials) as session:
        if alone:
            log_places(session.settings)
            await ensure_limits()
        run_id = run_id or str(flow_run.id)
        window = Window(start, end) if start and end else None
        fetched = await fetch_chunk(entity_named(entity), window, run_id)
        async with sole_writer(entity) if alone else nullcontext():
            merged = await store_chunk(fetched, run_id)
        session.progress(entity, 0, fetched.rows)
        return completed(
            merged.changed,
            f"{counted(fetched.rows, 'row', 'rows')} fetched, {merged.changed:,} changed.",
        )


async def run_here(chunk: Chunk, run_id: str) -> object:
    """Run a chunk as a subflow; returns its result, or the error that ended it.

    A plain await of subflows side by side would leave the others running for ever after one failure.
    """
    window = chunk.window
    state = await ingest_chunk(
        entity=chunk.entity.name,
        start=window.start if window else None,
        end=window.end if window else None,
        run_id=run_id,
        return_state=True,
    )
    return await state.aresult(raise_on_failure=False)
