"""The limiter, in virtual time: an event loop whose clock jumps to the next timer."""

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from st_kpi.servicetitan.rate import RollingWindow


class VirtualSelector(selectors.DefaultSelector):
    """Moves the time on instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everything waits and nothing will happen: a deadlock"
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = VirtualSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def limiter(limit: int) -> RollingWindow:
    return RollingWindow(limit, clock=now)


def busiest_second(arrivals: list[float]) -> int:
    """The most arrivals in any rolling second."""
    arrivals = sorted(arrivals)
    most = first = 0
    for last, arrival in enumerate(arrivals):
        while arrivals[first] <= arrival - 1.0 + 1e-9:  # sums of floats differ in the last bit
            first += 1
        most = max(most, last - first + 1)
    return most


latencies = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0, 3), st.booleans()), min_size=1, max_size=120
)


@settings(deadline=None)
@given(limit=st.integers(1, 12), tasks=st.integers(1, 40), requests=latencies)
def test_no_rolling_second_holds_more_arrivals_than_the_limit(
    limit: int, tasks: int, requests: list[tuple[float, float, bool]]
) -> None:
    """Whatever the way there and back takes, and whichever requests fail."""
    arrivals: list[float] = []

    async def worker(window: RollingWindow, todo: list[tuple[float, float, bool]]) -> None:
        while todo:
            there, back, fails = todo.pop()
            try:
                async with window.slot():
                    await asyncio.sleep(there)
                    arrivals.append(now())
                    await asyncio.sleep(back)
                    if fails:
                        raise ConnectionError
            except ConnectionError:
                pass

    async def main() -> None:
        window, todo = limiter(limit), list(requests)
        await asyncio.gather(*(worker(window, todo) for _ in range(tasks)))

    run(main())
    assert len(arrivals) == len(requests)
    assert busiest_second(arrivals) <= limit


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_cancelled_waiters_and_requests_lose_no_slot(seed: int) -> None:
    rng = random.Random(seed)
    arrivals: list[float] = []

    async def request(window: RollingWindow) -> None:
        async with window.slot():
            arrivals.append(now())
            await asyncio.sleep(rng.random())

    async def main() -> float:
        window = limiter(3)
        tasks = [asyncio.create_task(request(window)) for _ in range(30)]
        for task in rng.sample(tasks, 20):
            await asyncio.sleep(rng.choice([0, 0, 0.1, 0.5]))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(2)
        # After a pause all three slots are free at once.
        start = now()
        await asyncio.gather(*(window.slot().__aenter__() for _ in range(3)))
        return now() - start

    assert run(main()) == 0
    assert busiest_second(arrivals) <= 3


def test_the_limit_is_reached_when_answers_are_quick() -> None:
    async def request(window: RollingWindow) -> None:
        async with window.slot():
            await asyncio.sleep(0.05)

    async def main() -> float:
        window = limiter(60)
        await asyncio.gather(*(request(window) for _ in range(600)))
        return now()

    assert run(main()) == pytest.approx(9 * 1.05 + 0.05)


def test_a_slow_body_does_not_hold_the_slot() -> None:
    async def main() -> float:
        window = limiter(1)
        async with window.slot():
            pass
        await asyncio.sleep(5)
        start = now()
        async with window.slot():
            return now() - start

    assert run(main()) == 0


def test_first_come_first_served() -> None:
    async def main() -> list[int]:
        window, served = limiter(2), []

        async def request(number: int) -> None:
            async with window.slot():
                served.append(number)
                await asyncio.sleep(0.3)

        await asyncio.gather(*(request(number) for number in range(9)))
        return served

    assert run(main()) == list(range(9))


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 requests"):
        RollingWindow(0)
