"""``repair-gap``: fetch again just the days in which source and warehouse do not hold the same."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.ingest_chunk import run_here
from flows.parameters import EntityName, days_in_a_name
from st_kpi.errors import RunFailed
from st_kpi.ingest.plan import Chunk, source_time, wanted_entities, wanted_window
from st_kpi.ingest.runs import failure_message, outcome, recorded
from st_kpi.ingest.session import Session, shared_session
from st_kpi.local.process import mute_at_exit
from tasks import events
from tasks.artifacts import completeness_table
from tasks.chunks import find_gaps
from tasks.gcp_credentials import google_credentials
from tasks.places import log_places
from tasks.rate_limit import ensure_limits
from tasks.states import completed


def _run_name() -> str:
    """For example ``repair invoices 2023-01-01..2023-12-31``."""
    entity, start, end = (flow_run.parameters.get(name) for name in ("entity", "start", "end"))
    return f"repair {entity}{days_in_a_name(start, end)}"


@flow(name="repair-gap", flow_run_name=_run_name)
async def repair_gap(entity: EntityName, start: date | None = None, end: date | None = None) -> int:
    """Compare an entity with the source and fetch what differs; returns how many chunks that took.

    Compared are numbers of rows, month by month and then day by day. Raises ``UnknownEntity``, ``ConfigurationError``
    for the days, and ``RunFailed`` where a difference could not be mended.

    Args:
        entity: What to compare.
        start: The tenant's day of creation to begin with; nothing means the first of the history.
        end: The tenant's day of creation to end with; nothing means until now.
    """
    mute_at_exit()
    async with shared_session(creates=False, google=google_credentials) as session:
        log_places(session.settings)
        (selected,) = wanted_entities([entity])
        span = wanted_window(session.settings, start, end, await source_time(session))
        run_id = str(flow_run.id)
        async with recorded(session, "repair-gap", run_id) as run:
            await ensure_limits()
            chunks = await find_gaps(selected, span)
            if not chunks:
                return completed(0, f"{entity}: source and warehouse hold the same number of rows.")
            for chunk in chunks:
                run.failures += await _fetch_again(session, chunk, run_id)
            rows, refused = await outcome(session, run_id, [selected])
            run.failures += refused
            run.failures += [
                f"{entity} {_label(session, gap)}: still not as many rows as the source has."
                for gap in await find_gaps(selected, span)
            ]
        await completeness_table(rows, {entity: sum(chunk.rows for chunk in chunks)})
        events.data_loaded(
            flow="repair-gap",
            tenant_id=session.tenant_id,
            run_id=run_id,
            rows=rows,
            window=(span.start, span.end),
            complete=not run.failures,
        )
        if run.failures:
            raise RunFailed(f"The repair is incomplete. {run.detail}")
        days = ", ".join(_label(session, chunk) for chunk in chunks)
        return completed(len(chunks), f"{entity}: fetched again for {days}.")


async def _fetch_again(session: Session, chunk: Chunk, run_id: str) -> list[str]:
    """Run one chunk as a subflow; returns a sentence where it failed."""
    result = await run_here(chunk, run_id)
    if isinstance(result, BaseException):
        message = failure_message(session, chunk.entity.name, result)
        return [message] if message else []
    return []


def _label(session: Session, chunk: Chunk) -> str:
    return chunk.window.label(session.settings.zone) if chunk.window else "(whole)"
