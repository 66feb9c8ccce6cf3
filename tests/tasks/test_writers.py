"""Workers that write one raw table, on a real Prefect server."""

import asyncio

from prefect.client.orchestration import get_client

from tasks.writers import sole_writer


async def test_one_worker_at_a_time_writes_a_table(prefect_server: str) -> None:
    """That each has its own limit is seen by one that is held while another is taken."""
    at_work, most = 0, 0

    async def write() -> None:
        nonlocal at_work, most
        async with sole_writer("invoices"):
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.2)
            at_work -= 1

    async with sole_writer("jobs"):
        await asyncio.gather(write(), write(), write())
    assert most == 1


async def test_who_fails_lets_the_next_one_in(prefect_server: str) -> None:
    try:
        async with sole_writer("estimates"):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    async with get_client() as client:
        limit = await client.read_global_concurrency_limit_by_name("warehouse:estimates")
    assert (limit.limit, limit.active_slots) == (1, 0)
