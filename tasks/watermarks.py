"""The visible state of each entity, kept as Prefect blocks.

The manifest in the warehouse is the truth; a block can be rebuilt from it. Blocks have no compare-and-set, so only the
parent flow writes them, once per entity and run, after the data is durable.
"""

import asyncio
from datetime import UTC, datetime

from prefect import task
from prefect.blocks.core import Block
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from st_kpi import manifest
from st_kpi.session import shared_session


class EntityWatermark(Block):
    """How far one entity of one tenant has been read."""

    _block_type_name = "Entity Watermark"
    _block_type_slug = "entity-watermark"
    _description = "How far one entity of a ServiceTitan tenant has been read."

    tenant_id: int
    entity: str
    token: str | None = Field(default=None, description="Where the export feed goes on.")
    modified_on: datetime | None = Field(
        default=None, description="From when changes are still to be read, in UTC."
    )
    run_id: str | None = Field(default=None, description="The run that wrote this.")
    saved_at: datetime | None = None


def block_name(tenant_id: int, entity: str) -> str:
    """The name of an entity's block; block names have no underscores."""
    return f"{tenant_id}-{entity.replace('_', '-')}"


@task(name="save-watermarks", cache_policy=NO_CACHE)
async def save_watermarks(entities: list[str], run_id: str) -> int:
    """Save the watermark of each entity the manifest knows; returns how many were saved."""
    async with shared_session() as session:
        tenant_id = session.tenant_id
        known = await asyncio.to_thread(manifest.watermarks, session)
    marks = [
        EntityWatermark(
            tenant_id=tenant_id,
            entity=name,
            modified_on=known[name],
            run_id=run_id,
            saved_at=datetime.now(UTC),
        )
        for name in entities
        if name in known
    ]
    # The first save registers the block type; the others may then go side by side.
    for batch in (marks[:1], marks[1:]):
        await asyncio.gather(
            *(m.asave(block_name(tenant_id, m.entity), overwrite=True) for m in batch)
        )
    return len(marks)
