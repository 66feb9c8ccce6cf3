"""Chunks of a backfill on other machines: handed to a deployment whose work pool has as many workers as you like."""

from typing import Literal

import httpx
from prefect.deployments import arun_deployment
from prefect.exceptions import PrefectException

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.ingest.plan import Chunk
from st_kpi.settings import Settings

#: The deployment that runs one chunk.
DEPLOYMENT = "ingest-chunk/on-workers"

#: Where chunks run: inside the backfill, or on the workers of the deployment.
FanOut = Literal["inside", "workers"]


def require_room_for(fan_out: FanOut, settings: Settings) -> None:
    """Raise ``ConfigurationError`` where workers cannot share the warehouse."""
    if fan_out == "workers" and settings.warehouse.startswith("duckdb:"):
        raise ConfigurationError(
            f"fan_out=workers needs a warehouse that several machines can write, and {settings.warehouse} is a file that"
            " one process owns: leave fan_out out, or set ST_KPI_WAREHOUSE to a bigquery:// one."
        )


async def hand_over(chunk: Chunk, run_id: str) -> object:
    """Run a chunk on a worker and wait for it; returns nothing, or the error that says how it ended.

    The rows and the chunk's line in the manifest are in the warehouse then, as if it had run here. A chunk takes minutes
    of work; starting its process costs ten seconds.
    """
    window = chunk.window
    parameters = {
        "entity": chunk.entity.name,
        "start": window.start.isoformat() if window else None,
        "end": window.end.isoformat() if window else None,
        "run_id": run_id,
    }
    try:
        run = await arun_deployment(DEPLOYMENT, parameters=parameters, timeout=None)
    except (httpx.HTTPError, PrefectException) as error:
        return RunFailed(
            f"{chunk.entity.name}: {DEPLOYMENT} could not be started, or not be waited for: {error}"
        )
    if run.state is not None and run.state.is_completed():
        return None
    message = run.state.message if run.state else "it has no state"
    return RunFailed(
        f"{chunk.entity.name}: the run {run.name} on a worker did not complete: {message}"
    )
