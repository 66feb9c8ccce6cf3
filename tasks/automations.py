"""The automations that belong to no deployment: what watches over runs that nobody looks at."""

import logging
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing
from prefect.events.filters import AutomationFilter, AutomationFilterName
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import PrefectHTTPStatusError

from st_kpi.local.private_server import HEARTBEAT_SECONDS, is_private

#: After how long a silence a run is dead.
DEAD_AFTER = timedelta(seconds=4 * HEARTBEAT_SECONDS)
LATE_AFTER = timedelta(minutes=30)
#: Within which a run that a worker has taken begins: a cluster may have to fetch the image first.
BEGINS_WITHIN = timedelta(minutes=15)

_FLOWS = ["daily-sync", "backfill", "refresh-kpis", "repair-gap"]
_ALL = [*_FLOWS, "ingest-chunk"]
_ENDS = {
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut")
}
#: States in which nobody expects a run to begin at once.
_WAITS = {
    f"prefect.flow-run.{state}"
    for state in (
        "Scheduled",
        "Late",
        "AwaitingRetry",
        "AwaitingConcurrencySlot",
        "Cancelling",
        "Paused",
        "Suspended",
    )
}
_HEARTBEAT = "prefect.flow-run.heartbeat"


def automations() -> list[AutomationCore]:
    """The automations that belong to no deployment; see ``apply`` for what a person may change in them."""
    return [_silent(), _not_begun(), _failed(), _late()]


def _silent() -> AutomationCore:
    """Only for our own flows: others in the same workspace may say less often that they are alive."""
    return _ending(
        "st-kpi: a run that fell silent has crashed",
        "A run that was killed with its machine, or its worker, would be running for ever. Each says every"
        f" {HEARTBEAT_SECONDS} seconds that it is alive; after {DEAD_AFTER.seconds} without a word it is ended.",
        after={_HEARTBEAT},
        unless={_HEARTBEAT},
        within=DEAD_AFTER,
        message="The run fell silent: its worker or machine is gone. What was stored is kept; the next run"
        " goes on from there, and st-kpi sync or st-kpi backfill starts one now.",
    )


def _not_begun() -> AutomationCore:
    """A worker that is ended as it takes a run says nothing of it, and the run would hold its queue's one place for ever."""
    return _ending(
        "st-kpi: a run that was taken and did not begin has crashed",
        "A worker took the run and ended before the run began. After"
        f" {BEGINS_WITHIN.seconds // 60} minutes it is ended, so that it does not keep the others waiting.",
        after={"prefect.flow-run.Pending", "prefect.flow-run.Submitting"},
        unless={"prefect.flow-run.Running", _HEARTBEAT, *_WAITS},
        within=BEGINS_WITHIN,
        message="The run was taken by a worker and did not begin: the worker is gone. Nothing was read or"
        " changed; start it again.",
    )


def _ending(
    name: str,
    description: str,
    *,
    after: set[str],
    unless: set[str],
    within: timedelta,
    message: str,
) -> AutomationCore:
    """One that ends a run of ours which, after an event, meets none of the others and no end of its own in time."""
    return AutomationCore(
        name=name,
        description=description,
        trigger=_each_run_of(
            _ALL, posture=Posture.Proactive, after=after, expect=unless | _ENDS, within=within
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
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
            _ALL,
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


async def apply(client: PrefectClient, automation: AutomationCore) -> None:
    """Create the automation, or update the one of its name; actions that a person chose, and its switch, are kept.

    One that is as it should be is not touched: an update forgets which runs the automation is waiting for, and those
    would be running for ever.
    """
    of_that_name = await client.read_automations_by_name(automation.name)
    if not of_that_name:
        await client.create_automation(automation)
        return
    (current, *_) = of_that_name
    actions = _chosen(current.actions) if _is_for_a_person(automation) else automation.actions
    updated = automation.model_copy(update={"enabled": current.enabled, "actions": actions})
    if _plain(updated) != _plain(current):
        await client.update_automation(current.id, updated)


def _plain(automation: AutomationCore) -> dict[str, Any]:
    """What makes an automation what it is, whoever holds it."""
    return automation.model_dump(include={"name", "description", "enabled", "trigger", "actions"})


def _is_for_a_person(automation: AutomationCore) -> bool:
    return automation.actions == [DoNothing()]


def _chosen(actions: list[ActionTypes]) -> list[ActionTypes]:
    return [action for action in actions if not isinstance(action, DoNothing)] or [DoNothing()]


async def ensure_automations(client: PrefectClient) -> None:
    """Make those that are absent on a server that lasts; that it takes no more is told, and no reason to stop."""
    if is_private():
        return
    try:
        await _create_absent(client)
    except PrefectHTTPStatusError as error:
        logging.getLogger("st_kpi").warning(
            "The automations that watch over runs could not be made (status %s): run `st-kpi bootstrap`.",
            error.response.status_code,
        )


async def _create_absent(client: PrefectClient) -> None:
    """Make those that are not there by name; the others are the bootstrap's, and people's."""
    ours = {automation.name: automation for automation in automations()}
    named = AutomationFilter(name=AutomationFilterName(any_=list(ours)))
    existing = {automation.name for automation in await client.read_automations(automations=named)}
    for name in ours.keys() - existing:
        await client.create_automation(ours[name])
