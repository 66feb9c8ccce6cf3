"""What ServiceTitan has of an entity that no window of the history holds: older records, and such as have no createdOn."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from st_kpi.ingest.plan import complete_windows
from st_kpi.ingest.session import Session
from st_kpi.servicetitan.query import Created
from st_kpi.servicetitan.registry import Entity

OUTSIDE_HISTORY = "st_ops.outside_history"


@dataclass(frozen=True)
class Outside:
    """Records of an entity that were not loaded: ``older`` than the first day loaded, and ``undated``."""

    entity: str
    older: int
    undated: int

    def __str__(self) -> str:
        return f"{self.entity} {self.older:,} older, {self.undated:,} undated"


async def outside_history(session: Session, entity: Entity, now: datetime) -> Outside:
    """Count what lies outside, by the source's totals with and without a window, and keep it for the checks.

    ``now`` is the source's clock. Three questions; raises ``SourceError``.
    """
    first = min((w.start for w in await complete_windows(session, entity)), default=now)
    everything = await session.source.count(entity)
    older = await session.source.count(entity, Created(None, first))
    dated = await session.source.count(entity, Created(None, now + timedelta(days=1)))
    found = Outside(entity.name, older.total, max(everything.total - dated.total, 0))
    row = {
        "tenant_id": session.tenant_id,
        "entity": found.entity,
        "older": found.older,
        "undated": found.undated,
        "first_loaded": first,
        "counted_at": datetime.now(UTC),
    }
    await asyncio.to_thread(session.warehouse.insert, OUTSIDE_HISTORY, [row])
    return found
