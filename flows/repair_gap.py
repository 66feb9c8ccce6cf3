"""``repair-gap``: fetch again just the days in which source and warehouse do not hold the same."""

import asyncio
from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.ingest_chunk import ingest_chunk
from st_kpi import manifest, problems
from st_kpi.errors import RunFailed
from st_kpi.planning import Chunk, source_time, wanted_entities, wanted_window
from st_kpi.session import Session, shared_session
from tasks.chunks import find_gaps
from tasks.limits import ensure_limits


def _run_name() -> str:
    """For example ``repair invoices 2023-01-01..2023-12-31``."""
    entity, start, end = (flow_run.parameters.get(name) for name in ("entity", "start", "end"))
    return f"repair {entity} {start or ''}..{end or 'now'}"


@flow(name="repair-gap", flow_run_name=_run_name)
async def repair_gap(entity: str, start: date | None = None, end: date | None = None) -> int:
    """Compare an entity with the source and fetch what differs; returns how many chunks that took.

    ``start`` and ``end`` are the tenant's days of creation, by default the whole history. Compared are numbers of rows,
    month by month and then day by day. Raises ``UnknownEntity``, ``ConfigurationError`` for the days, and ``RunFailed``
    where a difference could not be mended.
    """
    async with shared_session(creates=False) as session:
        (name,) = (found.name for found in wanted_entities([entity]))
        wanted = wanted_window(session.settings, start, end, await source_time(session))
        run_id = str(flow_run.id)
        await asyncio.to_thread(manifest.start_run, session, "repair-gap", run_id)
        await ensure_limits()

        chunks = await find_gaps(name, wanted.start, wanted.end)
        failures = [await _fetch_again(session, chunk, run_id) for chunk in chunks]
        if chunks:
            rows = await asyncio.to_thread(manifest.completeness, session, run_id, [name])
            failures += await asyncio.to_thread(problems.of_rejects, session, rows)
            failures += [
                f"{name} {_label(session, left)}: still not as many rows as the source has."
                for left in await find_gaps(name, wanted.start, wanted.end)
            ]
        told = [failure for failure in failures if failure]
        await asyncio.to_thread(manifest.finish_run, session, run_id, told)
        if told:
            raise RunFailed(f"The repair is incomplete. {' '.join(told)}")
        return len(chunks)


async def _fetch_again(session: Session, chunk: Chunk, run_id: str) -> str | None:
    """Run one chunk as a subflow; returns a sentence where it failed."""
    window = chunk.window
    bounds = (window.start, window.end) if window else (None, None)
    state = await ingest_chunk(chunk.entity, *bounds, run_id, return_state=True)
    result = await state.aresult(raise_on_failure=False)
    if isinstance(result, BaseException):
        return problems.of_error(session, chunk.entity, result)
    return None


def _label(session: Session, chunk: Chunk) -> str:
    return chunk.window.label(session.settings.zone) if chunk.window else "(whole)"
