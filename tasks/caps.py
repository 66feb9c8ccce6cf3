"""How many tasks of a kind run at once: coarse caps by tag, which a person sees in the dashboard."""

from collections.abc import Iterable

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from tasks import SERVICETITAN_API, WAREHOUSE_WRITE
from tasks.automations import ensure_automations
from tasks.writers import PREFIX

#: More tasks of a tag than these never run at once here; they hold back a second run beside this one.
CAPS = {SERVICETITAN_API: 16, WAREHOUSE_WRITE: 8}


@task(name="ensure-caps", task_run_name="set caps", cache_policy=NO_CACHE)
async def ensure_caps() -> None:
    """Create the caps of the tags, and on a server that lasts the automations, where they are absent."""
    async with get_client() as client:
        await create_absent_caps(client)
        await ensure_automations(client)


@task(name="release-limits", task_run_name="free the limits of a killed run", cache_policy=NO_CACHE)
async def release_limits() -> None:
    """Free the slots that a killed run still holds, for which the next ones would wait until its leases expire.

    Those of a run that is alive beside this one are freed too; the caps are coarse, and the rate limit holds.
    """
    async with get_client() as client:
        for tag in CAPS:
            await client.reset_concurrency_limit_by_tag(tag)
            # Prefect's reset revokes the leases and leaves their slots taken, for good.
            await client.update_global_concurrency_limit(
                f"tag:{tag}", GlobalConcurrencyLimitUpdate(active_slots=0)
            )
        for limit in await client.read_global_concurrency_limits(limit=200, offset=0):
            if limit.name.startswith(PREFIX) and limit.active_slots:
                await client.update_global_concurrency_limit(
                    limit.name, GlobalConcurrencyLimitUpdate(active_slots=0)
                )


async def create_absent_caps(client: PrefectClient) -> None:
    """Give the tags that have no cap theirs; one that a person changed stays."""
    limits = await client.read_concurrency_limits(limit=200, offset=0)
    await set_caps(client, CAPS.keys() - {limit.tag for limit in limits})


async def set_caps(client: PrefectClient, tags: Iterable[str] = tuple(CAPS)) -> None:
    """Give these tags their caps, whether they have one or not."""
    for tag in tags:
        await client.create_concurrency_limit(tag=tag, concurrency_limit=CAPS[tag])
