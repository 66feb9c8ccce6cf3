"""How fast the API may be asked: the tenant's one ceiling, whatever processes share it.

A permit from Prefect's rate limit takes tens of milliseconds and, asked for before each request, cannot carry sixty a
second. So permits are bought in blocks, which a process spends at once or lets go.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectAlreadyExists

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.ingest.session import shared_session
from st_kpi.local.private_server import is_private
from st_kpi.servicetitan.rate import Limiter
from tasks.automations import ensure_automations
from tasks.caps import create_absent_caps

_log = logging.getLogger("st_kpi.rate_limit")

#: For how many seconds permits may be spent once they are bought.
GOOD_FOR = 0.1
#: After how many seconds to ask again for permits that were refused.
_ASKS_AGAIN_AFTER = 0.03
#: Seconds of waiting for permits after which a person is told.
_TELLS_AFTER = 2.0
#: Seconds after which a permit will not come any more: no other run uses a limit up for so long.
_GIVES_UP_AFTER = 900.0
#: Seconds that they may take to reach us, and the request they are for to reach ServiceTitan.
ON_THE_WAY = 0.05


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
        asked_at = self._clock()
        async with get_client() as client:  # inside a flow the one that the flow keeps open
            granted = await permits(
                client,
                self._name,
                self._block,
                asks_again_after=_ASKS_AGAIN_AFTER,
                tells=lambda: self._clock() - asked_at > _TELLS_AFTER,
                waiting=f"Waiting for the rate limit {self._name}, which other runs of this tenant use up",
            )
        if not granted.json():  # Prefect grants what it does not know
            raise ConfigurationError(
                f"The rate limit {self._name} is not in Prefect any more: it must be created, which every run does"
                " as it begins. Run the same command again."
            )
        self._left, self._good_until = self._block, self._clock() + GOOD_FOR


async def permits(
    client: PrefectClient,
    name: str,
    count: int,
    *,
    asks_again_after: float,
    tells: Callable[[], bool],
    waiting: str,
) -> httpx.Response:
    """What Prefect grants of a rate limit, once it does; ``waiting`` is told once, when it is refused and ``tells`` says so.

    Raises ``RunFailed`` where it does not within a quarter of an hour.
    """
    told, asked_at = False, time.monotonic()
    while time.monotonic() - asked_at < _GIVES_UP_AFTER:
        try:
            return await client.increment_concurrency_slots([name], count, "rate_limit")
        except httpx.HTTPStatusError as error:  # it is not time yet
            if error.response.status_code != HTTPStatus.LOCKED:
                raise
        if not told and tells():
            told = True
            _log.warning("%s", waiting)
        await asyncio.sleep(asks_again_after)
    raise RunFailed(
        f"{waiting}, and in vain for {_GIVES_UP_AFTER / 60:.0f} minutes: look at the concurrency limit {name} on the"
        " dashboard, which may be inactive or have no slots, and run the same command again."
    )


def terms(requests_per_second: int) -> tuple[int, float]:
    """How many permits to buy at a time, and how many come back a second.

    With these no rolling second sees more requests than it may; two busy processes were given three quarters of that.
    """
    block = max(1, requests_per_second // 12)
    return block, (requests_per_second + 0.5 - block) / (1 + GOOD_FOR + ON_THE_WAY)


def rate_limit_name(tenant_id: int) -> str:
    """The name of a tenant's rate limit in Prefect."""
    return f"servicetitan-{tenant_id}"


@task(name="ensure-limits", task_run_name="set rate limits", cache_policy=NO_CACHE)
async def ensure_limits() -> None:
    """Create the limits where they are absent, and pace the session's requests by the tenant's where it is shared.

    An uncreated limit would be no limit. A private Prefect server is this process's alone, and so is the allowance.
    """
    async with shared_session() as session, get_client() as client:
        await create_absent_caps(client)
        await ensure_automations(client)
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
