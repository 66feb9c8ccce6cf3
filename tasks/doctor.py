"""What Prefect has to have for schedules to run: the part of ``st-kpi doctor`` that asks its API."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectException

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.local.api_answers import in_a_sentence, shown
from st_kpi.local.private_server import configured_api
from st_kpi.reporting.doctor import Doubtful
from st_kpi.settings import Settings
from tasks.automations import automations
from tasks.caps import CAPS
from tasks.rate_limit import rate_limit_name

#: What ``prefect.yaml`` declares, by flow and deployment.
DEPLOYMENTS = (
    "daily-sync/daily",
    "daily-sync/intraday",
    "backfill/manual",
    "refresh-kpis/on-data",
    "repair-gap/on-gap",
    "reconcile/weekly",
    "ingest-chunk/on-workers",
)
_BOOTSTRAP = "run `st-kpi bootstrap`, which makes what is missing"

Ask = Callable[[PrefectClient, Settings], Awaitable[str]]


def _asking(ask: Ask) -> Callable[[Settings], Awaitable[str]]:
    """Asked with a client of its own; what that raises becomes a sentence."""

    async def asked(settings: Settings) -> str:
        try:
            async with get_client() as client:
                return await ask(client, settings)
        except (httpx.HTTPError, PrefectException) as error:
            raise in_a_sentence(shown(configured_api() or ""), error) from error

    return asked


async def _worker(client: PrefectClient, settings: Settings) -> str:
    """Every pool that our deployments name has a worker, and is not paused."""
    ours = (await _ours(client)).values()
    pools = sorted({one.work_pool_name for one in ours if one.work_pool_name} or {"local"})
    found = []
    for name in pools:
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            raise ConfigurationError(f"There is no work pool {name}: {_BOOTSTRAP}.") from None
        if pool.is_paused:
            raise RunFailed(
                f"The work pool {name} is paused: `prefect work-pool resume {name}` lets runs begin."
            )
        workers = await client.read_workers_for_work_pool(name)
        online = sum(worker.status == WorkerStatus.ONLINE for worker in workers)
        if not online:
            raise RunFailed(
                f"No worker is online for the work pool {name}: start one with `prefect worker start --pool {name}`,"
                " or scripts/up."
            )
        found.append(f"{name} has {online}")
    return f"Online by work pool: {', '.join(found)}."


async def _ours(client: PrefectClient) -> dict[str, DeploymentResponse]:
    """Those of our deployments that are there, by flow and name."""
    there = {}
    for name in DEPLOYMENTS:
        with suppress(ObjectNotFound):
            there[name] = await client.read_deployment_by_name(name)
    return there


async def _limits(client: PrefectClient, settings: Settings) -> str:
    """An uncreated limit would be no limit, so each run makes those that are absent."""
    tags = {limit.tag for limit in await client.read_concurrency_limits(limit=200, offset=0)}
    absent = sorted(CAPS.keys() - tags)
    name = rate_limit_name(settings.tenant_id or 0)
    rates = await client.read_global_concurrency_limits(limit=200, offset=0)
    absent += [name] * all(rate.name != name for rate in rates)
    if absent:
        raise Doubtful(
            f"Not made yet: {', '.join(absent)}. The next run makes them; or {_BOOTSTRAP}."
        )
    return f"{name} and the caps of {', '.join(sorted(CAPS))}."


async def _automations(client: PrefectClient, settings: Settings) -> str:
    there = {one.name: one.enabled for one in await client.read_automations()}
    names = [automation.name for automation in automations()]
    absent = [name for name in names if name not in there]
    if absent:
        raise ConfigurationError(
            f"Missing: {'; '.join(absent)}. Runs that die stay running: {_BOOTSTRAP}."
        )
    off = [name for name in names if not there[name]]
    if off:
        raise Doubtful(
            f"Switched off: {'; '.join(off)}. The dashboard's page of automations has the switch."
        )
    return f"{len(names)} watch over the runs."


async def _deployments(client: PrefectClient, settings: Settings) -> str:
    there = await _ours(client)
    absent = [name for name in DEPLOYMENTS if name not in there]
    if absent:
        raise ConfigurationError(
            f"Missing: {', '.join(absent)}. Run `prefect deploy --all` where prefect.yaml is, or scripts/up."
        )
    paused = [name for name, deployment in there.items() if deployment.paused]
    if paused:
        raise Doubtful(
            f"Paused: {', '.join(paused)}. `prefect deployment resume NAME` lets them run."
        )
    if not any(schedule.active for schedule in there["daily-sync/daily"].schedules):
        raise Doubtful(
            "The schedule of daily-sync/daily is switched off: nothing is loaded by itself."
        )
    return f"{len(there)} of {len(DEPLOYMENTS)} are there, and the nightly schedule is on."


#: By the name that ``st-kpi doctor`` has for them.
CHECKS = {
    "worker": _asking(_worker),
    "limits": _asking(_limits),
    "automations": _asking(_automations),
    "deployments": _asking(_deployments),
}
