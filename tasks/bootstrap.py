"""What ``prefect.yaml`` cannot declare, made or brought up to date by name: running it again changes nothing."""

from contextlib import suppress

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from st_kpi.errors import ConfigurationError
from st_kpi.settings import Settings
from tasks.automations import apply, automations
from tasks.caps import CAPS, set_caps
from tasks.rate_limit import set_rate_limit
from tasks.watermarks import EntityWatermark

#: Runs at once per queue. The one for whole runs takes one at a time: the warehouse has one writer.
QUEUES = {"default": 1, "chunks": 8}


async def bootstrap(settings: Settings, pool: str) -> list[str]:
    """Make or update block types, limits, work pool and automations; returns a sentence for each.

    Raises ``ConfigurationError`` without a tenant, whose rate limit is one of them.
    """
    tenant_id = settings.tenant_id
    if tenant_id is None:
        raise ConfigurationError(
            "The tenant is not set, and its rate limit cannot be made: set ST_KPI_TENANT_ID."
        )
    async with get_client() as client:
        await EntityWatermark.register_type_and_schema(client=client)
        await set_caps(client)
        name, _ = await set_rate_limit(client, tenant_id, settings.requests_per_second)
        await _work_pool(client, pool)
        for automation in automations():
            await apply(client, automation)
    caps = ", ".join(f"{tag} {slots}" for tag, slots in CAPS.items())
    queues = ", ".join(f"{queue} {limit}" for queue, limit in QUEUES.items())
    return [
        f"Block type {EntityWatermark.get_block_type_slug()}.",
        f"Tasks at once by tag: {caps}.",
        f"Rate limit {name}: {settings.requests_per_second} requests a second.",
        f"Work pool {pool}, runs at once by queue: {queues}.",
        *(f"Automation {automation.name}." for automation in automations()),
    ]


async def _work_pool(client: PrefectClient, pool: str) -> None:
    """The pool, made for processes where it is absent, and its queues; one that is there keeps its type and template."""
    template = ProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(
            WorkPoolCreate(name=pool, type=ProcessWorker.type, base_job_template=template)
        )
    for name, limit in QUEUES.items():
        try:
            queue = await client.read_work_queue_by_name(name, work_pool_name=pool)
        except ObjectNotFound:
            queue = await client.create_work_queue(name, work_pool_name=pool)
        await client.update_work_queue(queue.id, concurrency_limit=limit)
