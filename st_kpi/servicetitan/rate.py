"""A ceiling on requests that holds for every rolling second as the server counts them."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class Limiter(Protocol):
    """Anything that says when the next request may be sent."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Hold this from before the request is sent until its response headers are there."""
        ...


class RollingWindow:
    """At most ``limit`` requests arrive in any ``period`` seconds, first come first served.

    A request arrives somewhere between being sent and being answered, so counting sends is not
    enough: after a stall they arrive in a bunch. There are ``limit`` slots; one is taken before
    sending and is free again ``period`` seconds after the headers came. Two arrivals on one slot
    are then at least a period apart, and a period never sees more arrivals than there are slots.
    """

    def __init__(
        self,
        limit: int,
        period: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if limit < 1:
            raise ValueError(f"a limit of {limit} requests would never send any")
        self._period = period
        self._clock = clock
        self._sleep = sleep
        self._free_at = deque([float("-inf")] * limit)  # of slots not in use, earliest first
        self._idle = asyncio.Semaphore(limit)
        self._turn = asyncio.Lock()  # the first in line holds it while waiting, so none overtakes

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it; a waiter that is cancelled leaves its slot to the next."""
        async with self._turn:
            await self._idle.acquire()
            free_at = self._free_at.popleft()
            try:
                while (wait := free_at - self._clock()) > 0:
                    await self._sleep(wait)
            except BaseException:
                self._free_at.appendleft(free_at)
                self._idle.release()
                raise
        try:
            yield
        finally:
            self._free_at.append(self._clock() + self._period)
            self._idle.release()
