"""How many tasks of a kind run at once, on a real Prefect server."""

from prefect.client.orchestration import get_client

from tasks.caps import CAPS, create_absent_caps, release_limits, set_caps


async def test_a_cap_that_a_person_changed_stays(prefect_server: str) -> None:
    (changed, *_) = CAPS
    async with get_client() as client:
        await client.create_concurrency_limit(changed, 3)
        await create_absent_caps(client)
        limits = await client.read_concurrency_limits(limit=200, offset=0)
        await set_caps(client)
    assert {limit.tag: limit.concurrency_limit for limit in limits} == CAPS | {changed: 3}


async def test_the_slots_of_a_killed_run_are_free_again(prefect_server: str) -> None:
    """Nobody renews its leases any more, and those of one that began a moment ago last for minutes."""
    async with get_client() as client:
        for tag, slots in CAPS.items():
            await client.create_concurrency_limit(tag, slots)
            await client.increment_concurrency_slots_with_lease(
                [f"tag:{tag}"], slots, "concurrency", lease_duration=600
            )
        await client.upsert_global_concurrency_limit_by_name("warehouse:jobs", 1)
        await client.increment_concurrency_slots_with_lease(
            ["warehouse:jobs"], 1, "concurrency", lease_duration=600
        )
        await release_limits()
        answer = await client.increment_concurrency_slots(["warehouse:jobs"], 1, "concurrency")
        assert answer.status_code == 200
        await client.release_concurrency_slots(["warehouse:jobs"], 1, 1.0)
        for tag, slots in CAPS.items():
            answer = await client.increment_concurrency_slots([f"tag:{tag}"], slots, "concurrency")
            assert answer.status_code == 200
            await client.release_concurrency_slots([f"tag:{tag}"], slots, 1.0)
