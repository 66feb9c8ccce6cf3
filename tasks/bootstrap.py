"""What ``prefect.yaml`` cannot declare, made or brought up to date by name: running it again changes nothing."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from st_kpi.errors import ConfigurationError
from st_kpi.prefect_server import HEARTBEAT_SECONDS
from st_kpi.settings import Settings
from tasks.limits import LIMITS, set_rate_limit, set_tag_limits
from tasks.watermarks import EntityWatermark

POOL = "local"
#: Runs at once per queue. The one for whole runs takes one at a time: the warehouse has one writer.
QUEUES: dict[str, int | None] = {"default": 1, "chunks": None}

#: After how long a silence a run is dead.
DEAD_AFTER = timedelta(seconds=4 * HEARTBEAT_SECONDS)
LATE_AFTER = timedelta(minutes=30)

_FLOWS = ["daily-sync", "backfill", "refresh-kpis", "repair-gap"]
_ENDS = {
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut")
}
_HEARTBEAT = "prefect.flow-run.heartbeat"


def automations() -> list[AutomationCore]:
    """The automations that belong to no deployment; see ``_apply`` for what a person may change in them."""
    return [_silent(), _failed(), _late()]


def _silent() -> AutomationCore:
    """Only for our own flows: others in the same workspace may say less often that they are alive."""
    return AutomationCore(
        name="st-kpi: a run that fell silent has crashed",
        description="A run that was killed with its machine, or its worker, would be running for ever. Each says every"
        f" {HEARTBEAT_SECONDS} seconds that it is alive; after {DEAD_AFTER.seconds} without a word it is ended.",
        trigger=_each_run_of(
            [*_FLOWS, "ingest-chunk"],
            posture=Posture.Proactive,
            after={_HEARTBEAT},
            expect={_HEARTBEAT, *_ENDS},
            within=DEAD_AFTER,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="The run fell silent: its worker or machine is gone. What was stored is kept; the next run"
                " goes on from there, and st-kpi sync or st-kpi backfill starts one now.",
            )
        ],
    )


def _failed() -> AutomationCore:
    return AutomationCore(
        name="st-kpi: a run failed",
        description="Nobody is told until you choose an action here: a notification by e-mail or chat.",
        trigger=_each_run_of(
            _FLOWS,
            posture=Posture.Reactive,
            expect=_ENDS - {"prefect.flow-run.Completed", "prefect.flow-run.Cancelled"},
            within=timedelta(0),
        ),
        actions=[DoNothing()],
    )


def _late() -> AutomationCore:
    return AutomationCore(
        name="st-kpi: a run is late",
        description=f"It should have begun {LATE_AFTER.seconds // 60} minutes ago: no worker is there, or another run"
        " takes long. Nobody is told until you choose an action here: a notification by e-mail or chat.",
        trigger=_each_run_of(
            _FLOWS,
            posture=Posture.Proactive,
            after={"prefect.flow-run.Late"},
            expect={"prefect.flow-run.Running", *_ENDS},
            within=LATE_AFTER,
        ),
        actions=[DoNothing()],
    )


def _each_run_of(flows: list[str], **when: Any) -> EventTrigger:
    """A trigger that watches every run of these flows by itself."""
    related = {"prefect.resource.role": "flow", "prefect.resource.name": flows}
    return EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(related),
        for_each={"prefect.resource.id"},
        threshold=1,
        **when,
    )


async def bootstrap(settings: Settings) -> list[str]:
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
        await set_tag_limits(client)
        name, _ = await set_rate_limit(client, tenant_id, settings.requests_per_second)
        await _work_pool(client)
        for automation in automations():
            await _apply(client, automation)
    caps = ", ".join(f"{tag} {slots}" for tag, slots in LIMITS.items())
    queues = ", ".join(f"{queue} ({limit or 'any number'})" for queue, limit in QUEUES.items())
    return [
        f"Block type {EntityWatermark.get_block_type_slug()}.",
        f"Tasks at once by tag: {caps}.",
        f"Rate limit {name}: {settings.requests_per_second} requests a second.",
        f"Work pool {POOL}, runs at once by queue: {queues}.",
        *(f"Automation {automation.name}." for automation in automations()),
    ]


async def _work_pool(client: PrefectClient) -> None:
    """The pool of this machine's processes and its queues; a pool that is there keeps its type and template."""
    template = ProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(
            WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)
        )
    for name, limit in QUEUES.items():
        try:
            queue = await client.read_work_queue_by_name(name, work_pool_name=POOL)
        except ObjectNotFound:
            queue = await client.create_work_queue(name, work_pool_name=POOL)
        await client.update_work_queue(queue.id, concurrency_limit=limit)


async def _apply(client: PrefectClient, wanted: AutomationCore) -> None:
    """Create the automation, or update the one of its name; actions that a person chose, and its switch, are kept.

    One that is as it should be is not touched: an update forgets which runs the automation is waiting for, and those
    would be running for ever.
    """
    found = await client.read_automations_by_name(wanted.name)
    if not found:
        await client.create_automation(wanted)
        return
    (known, *_) = found
    actions = _chosen(known.actions) if _is_for_a_person(wanted) else wanted.actions
    updated = wanted.model_copy(update={"enabled": known.enabled, "actions": actions})
    if _plain(updated) != _plain(known):
        await client.update_automation(known.id, updated)


def _plain(automation: AutomationCore) -> dict[str, Any]:
    """What makes an automation what it is, whoever holds it."""
    return automation.model_dump(include={"name", "description", "enabled", "trigger", "actions"})


def _is_for_a_person(automation: AutomationCore) -> bool:
    return automation.actions == [DoNothing()]


def _chosen(actions: list[ActionTypes]) -> list[ActionTypes]:
    return [action for action in actions if not isinstance(action, DoNothing)] or [DoNothing()]
