"""One worker at a time writes a raw table: of two that do, BigQuery gives one up when both have worked for half a minute."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import concurrency
from prefect.exceptions import ObjectAlreadyExists

#: How the names of these limits begin; the entity follows.
PREFIX = "warehouse:"


@asynccontextmanager
async def sole_writer(entity: str) -> AsyncIterator[None]:
    """Wait until no other worker writes the tables of this entity, and keep the others waiting.

    A lease that cannot be renewed ends nothing: whoever then writes as well is tried again by the warehouse.
    """
    name = f"{PREFIX}{entity}"
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):  # a worker that began at the same moment was faster
            await client.upsert_global_concurrency_limit_by_name(name, 1)
    async with concurrency(name, strict=True, raise_on_lease_renewal_failure=False):
        yield
