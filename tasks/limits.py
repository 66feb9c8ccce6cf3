"""How fast the API may be asked: the tenant's one ceiling, and the coarse caps that a person sees in the dashboard.

Prefect's own rate limit costs tens of milliseconds for each permit and, asked for each request, cannot carry sixty a
second. So permits are bought in blocks, which a process spends at once or lets go.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.concurrency.services import ConcurrencySlotAcquisitionService
from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.session import shared_session
from st_kpi.local.private_server import is_private
from st_kpi.servicetitan.rate import Limiter
from tasks import SERVICETITAN_API, WAREHOUSE_WRITE
from tasks.automations import create_absent

#: More tasks than these never run at once here; they hold back a second run beside this one.
LIMITS = {SERVICETITAN_API: 16, WAREHOUSE_WRITE: 8}

#: For how many seconds permits may be spent once they are bought.
GOOD_FOR = 0.1
#: After how many seconds to ask again for permits that were refused.
_ASKS_AGAIN_AFTER = 0.03
#: Seconds that they may take to reach us, and the request they are for to reach ServiceTitan.
ON_THE_WAY = 0.05


def _is_no_refusal(record: logging.LogRecord) -> bool:
    return ConcurrencySlotAcquisitionService.__name__ not in record.getMessage()


# A rate limit says by a refusal that it is not time yet, and Prefect logs each as an error; real ones are raised, too.
logging.getLogger("prefect._internal.concurrency").addFilter(_is_no_refusal)


class SharedAllowance:
    """A limiter that several processes of one tenant share, around the one of this process.

    In any window of w seconds Prefect grants at most ``block + decay * w`` permits. A request that arrives in some
    second was granted at most ``GOOD_FOR + ON_THE_WAY`` before it, so ``decay`` leaves room for that too.
    """

    def __init__(
        self, name: str, block: int, own: Limiter, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._block = block
        self._own = own
        self._clock = clock
        self._turn = asyncio.Lock()
        self._left = 0
        self._good_until = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot of this process and spend a permit of the tenant."""
        async with self._own.slot():
            async with self._turn:
                if not self._left or self._clock() > self._good_until:
                    await self._buy()
                self._left -= 1
            yield

    async def _buy(self) -> None:
        """Wait for a block of permits; raises ``ConfigurationError`` where nobody made the limit.

        ``prefect.concurrency.asyncio.rate_limit`` would do, but waits for a random time when refused, and puts an event
        on the dashboard for each block.
        """
        service = ConcurrencySlotAcquisitionService.instance(frozenset([self._name]))
        while True:
            try:
                asked: Future[httpx.Response] = service.send(
                    (self._block, "rate_limit", None, 0)  # type: ignore[arg-type]  # theirs is wrong
                )
                answer = await asyncio.wrap_future(asked)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != HTTPStatus.LOCKED:
                    raise
                await asyncio.sleep(_ASKS_AGAIN_AFTER)
                continue
            if not answer.json():  # Prefect grants what it does not know
                raise ConfigurationError(
                    f"The rate limit {self._name} is not in Prefect any more: it must be created, which every run does"
                    " as it begins. Run the same command again."
                )
            self._left, self._good_until = self._block, self._clock() + GOOD_FOR
            return


def terms(requests_per_second: int) -> tuple[int, float]:
    """How many permits to buy at a time, and how many come back a second.

    With these no rolling second sees more requests than it may; two busy processes were given three quarters of that.
    """
    block = max(1, requests_per_second // 12)
    return block, (requests_per_second + 0.5 - block) / (1 + GOOD_FOR + ON_THE_WAY)


def rate_limit_name(tenant_id: int) -> str:
    """The name of a tenant's rate limit in Prefect."""
    return f"servicetitan-{tenant_id}"


@task(name="release-limits", task_run_name="free the limits of a killed run", cache_policy=NO_CACHE)
async def release_limits() -> None:
    """Free the slots that a killed run still holds, for which the next ones would wait until its leases expire.

    Those of a run that is alive beside this one are freed too; the caps are coarse, and the rate limit holds.
    """
    async with get_client() as client:
        for tag in LIMITS:
            await client.reset_concurrency_limit_by_tag(tag)
            # Prefect's reset revokes the leases and leaves their slots taken, for good.
            await client.update_global_concurrency_limit(
                f"tag:{tag}", GlobalConcurrencyLimitUpdate(active_slots=0)
            )


@task(name="ensure-caps", task_run_name="caps", cache_policy=NO_CACHE)
async def ensure_caps() -> None:
    """Create the caps of the tags, and on a server that lasts the automations, where they are absent."""
    async with get_client() as client:
        await _create_caps_and_automations(client)


async def _create_caps_and_automations(client: PrefectClient) -> None:
    """As ``ensure_caps``; that a workspace takes no more automations is told, and no reason to stop."""
    known = {limit.tag for limit in await client.read_concurrency_limits(limit=200, offset=0)}
    await set_tag_limits(client, [tag for tag in LIMITS if tag not in known])
    if is_private():
        return
    try:
        await create_absent(client)
    except PrefectHTTPStatusError as error:
        logging.getLogger("st_kpi").warning(
            "The automations that watch over runs could not be made (status %s): run `st-kpi bootstrap`.",
            error.response.status_code,
        )


@task(name="ensure-limits", task_run_name="limits", cache_policy=NO_CACHE)
async def ensure_limits() -> None:
    """Create the limits where they are absent, and pace the session's requests by the tenant's where it is shared.

    An uncreated limit would be no limit. A private Prefect server is this process's alone, and so is the allowance.
    """
    async with shared_session() as session, get_client() as client:
        await _create_caps_and_automations(client)
        if is_private():
            return
        name, block = await set_rate_limit(
            client, session.tenant_id, session.settings.requests_per_second
        )
        session.source.share(
            lambda own: (
                own if isinstance(own, SharedAllowance) else SharedAllowance(name, block, own)
            )
        )


async def set_tag_limits(client: PrefectClient, tags: Iterable[str] = tuple(LIMITS)) -> None:
    """Give these tags their limits, whether they have one or not."""
    for tag in tags:
        await client.create_concurrency_limit(tag=tag, concurrency_limit=LIMITS[tag])


async def set_rate_limit(
    client: PrefectClient, tenant_id: int, requests_per_second: int
) -> tuple[str, int]:
    """Give the tenant its rate limit; returns its name and how many permits to buy at a time."""
    name = rate_limit_name(tenant_id)
    block, decay = terms(requests_per_second)
    with suppress(ObjectAlreadyExists):  # a process that began at the same moment was faster
        await client.upsert_global_concurrency_limit_by_name(
            name, block, slot_decay_per_second=decay
        )
    return name, block
