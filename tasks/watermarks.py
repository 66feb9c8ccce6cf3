"""The visible state of each entity, kept as Prefect blocks.

The manifest in the warehouse is the truth; a block can be rebuilt from it. Blocks have no compare-and-set, so only the
parent flow writes them, once per entity and run, after the data is durable.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import task
from prefect.blocks.core import Block
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import Field, ValidationError

from st_kpi.ingest.session import shared_session
from st_kpi.ingest.watermarks import Watermark, earlier
from st_kpi.servicetitan.registry import Entity

_log = logging.getLogger(__name__)

_BEFORE_ANYTHING = datetime(1970, 1, 1, tzinfo=UTC)

#: What ``EntityWatermark.model_json_schema`` gave, by its arguments, as text.
_SCHEMAS: dict[tuple[Any, ...], str] = {}


class EntityWatermark(Block):
    """How far one entity of one tenant has been read."""

    _block_type_name = "Entity Watermark"
    _block_type_slug = "entity-watermark"
    _description = "How far one entity of a ServiceTitan tenant has been read."

    tenant_id: int
    entity: str
    token: str | None = Field(default=None, description="Where the export feed goes on.")
    modified_on: datetime | None = Field(
        default=None, description="The newest change received, in UTC."
    )
    known_until: datetime | None = Field(
        default=None, description="The source's clock up to which changes are known, in UTC."
    )
    run_id: str | None = Field(default=None, description="The run that wrote this.")
    saved_at: datetime | None = None

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Prefect's own, which takes milliseconds and is asked for two dozen times for each block that is saved."""
        key = (cls, args, tuple(sorted(kwargs.items())))
        if key not in _SCHEMAS:
            _SCHEMAS[key] = json.dumps(super().model_json_schema(*args, **kwargs))
        schema: dict[str, Any] = json.loads(_SCHEMAS[key])  # sooner than a copy is made
        return schema


def block_name(tenant_id: int, entity: str) -> str:
    """The name of an entity's block; block names have no underscores."""
    return f"{tenant_id}-{entity.replace('_', '-')}"


@task(name="read-watermarks", task_run_name="read watermarks", cache_policy=NO_CACHE)
async def read_watermarks() -> dict[str, Watermark]:
    """From where the changes of each loaded entity are to be read: the earlier of warehouse and block."""
    async with shared_session() as session:
        marks = await asyncio.to_thread(session.watermarks.read)
        blocks = await _blocks(session.tenant_id)
    return {name: earlier(name, mark, blocks.get(name)) for name, mark in marks.items()}


async def _blocks(tenant_id: int) -> dict[str, Watermark]:
    """What the blocks of a tenant say, by entity; nothing where none was ever saved."""
    async with get_client() as client:
        try:
            documents = await _documents(client)
        except PrefectHTTPStatusError as error:
            if error.response.status_code == 404:  # the type comes with the first save
                return {}
            raise
    return marks_of((document.data for document in documents), tenant_id)


def marks_of(blocks: Iterable[Mapping[str, Any]], tenant_id: int) -> dict[str, Watermark]:
    """The watermarks of a tenant that blocks hold; one that somebody edited into nonsense is said and passed over."""
    marks = {}
    for data in blocks:
        try:
            block = EntityWatermark.model_validate(data)
        except ValidationError as error:
            fields = ", ".join(str(e["loc"][0]) for e in error.errors() if e["loc"])
            _log.warning(
                "The watermark block of %s cannot be read (%s); the warehouse knows how far it is read.",
                data.get("entity"),
                fields,
            )
            continue
        if block.tenant_id == tenant_id:
            marks[block.entity] = Watermark(
                block.token, _sane(block.modified_on), _sane(block.known_until), block.run_id
            )
    return marks


def _sane(moment: datetime | None) -> datetime | None:
    """The moment in UTC, which it is without an offset too, and none before there was anything to read."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(aware, _BEFORE_ANYTHING)


async def _documents(client: PrefectClient) -> list[BlockDocument]:
    """The blocks of all tenants at once: the server has no pages here, whatever offset it is asked for."""
    return await client.read_block_documents_by_type(EntityWatermark.get_block_type_slug())


@task(
    name="move-watermark",
    task_run_name="move the watermark of {entity.name}",
    cache_policy=NO_CACHE,
)
async def move_watermark(entity: Entity, mark: Watermark) -> None:
    """Record the watermark of an entity whose windows are stored."""
    async with shared_session() as session:
        await asyncio.to_thread(session.watermarks.record, entity, mark)


@task(name="save-watermarks", task_run_name="save watermarks", cache_policy=NO_CACHE)
async def save_watermarks(entities: list[Entity]) -> int:
    """Save the watermark of each entity the manifest knows; returns how many were saved."""
    async with shared_session() as session:
        tenant_id = session.tenant_id
        marks = await asyncio.to_thread(session.watermarks.read)
    blocks = [
        EntityWatermark(
            tenant_id=tenant_id,
            entity=entity.name,
            token=mark.token,
            modified_on=mark.modified_on,
            known_until=mark.known_until,
            run_id=mark.run_id,
            saved_at=datetime.now(UTC),
        )
        for entity in entities
        if (mark := marks.get(entity.name))
    ]
    if blocks:
        first, *others = blocks
        await first.asave(_name_of(first), overwrite=True)  # registers the block type as it is now
        async with get_client() as client:
            known = {document.name: document for document in await _documents(client)}
            schema_id = known[_name_of(first)].block_schema_id
            await asyncio.gather(
                *(_save(client, b, known.get(_name_of(b)), schema_id) for b in others)
            )
    return len(blocks)


def _name_of(block: EntityWatermark) -> str:
    return block_name(block.tenant_id, block.entity)


async def _save(
    client: PrefectClient,
    block: EntityWatermark,
    known: BlockDocument | None,
    schema_id: UUID | None,
) -> None:
    """One request for a block that there is already, where Prefect's own way takes several."""
    if known is None:
        await block.asave(_name_of(block), overwrite=True)
        return
    data = block.model_dump(mode="json", include=set(EntityWatermark.model_fields))
    update = BlockDocumentUpdate(block_schema_id=schema_id, data=data)
    await client.update_block_document(known.id, update)
