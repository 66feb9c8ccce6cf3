"""The coarse caps that a person sees in the dashboard; the rate limit itself is the client's."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client

from tasks import SERVICETITAN_API, WAREHOUSE_WRITE

#: More tasks than these never run at once here; they hold back a second run beside this one.
LIMITS = {SERVICETITAN_API: 16, WAREHOUSE_WRITE: 8}


@task(name="ensure-limits", cache_policy=NO_CACHE)
async def ensure_limits() -> None:
    """Create the tags' concurrency limits where they are absent; an uncreated one would be no limit."""
    async with get_client() as client:
        known = {limit.tag for limit in await client.read_concurrency_limits(limit=200, offset=0)}
        for tag, slots in LIMITS.items():
            if tag not in known:
                await client.create_concurrency_limit(tag=tag, concurrency_limit=slots)
