"""From where the changes of each entity are still to be read."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from st_kpi.ingest.fetched import Fetched
from st_kpi.ingest.manifest import of_tenant
from st_kpi.servicetitan.registry import Entity
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.system_tables import KNOWN_UNTIL, LATEST_MARKS

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watermark:
    """From where the changes of an entity are still to be read.

    ``token`` is where its feed goes on. ``modified_on`` is the newest change received and ``known_until`` the source's
    clock when the reading began that this stands for, both in UTC: a row that changes behind the reader is newer than
    that and must be met again. ``since`` is what a reading without a token starts from.
    """

    token: str | None
    modified_on: datetime | None
    known_until: datetime | None
    run_id: str | None = None

    @property
    def since(self) -> datetime | None:
        return min((t for t in (self.modified_on, self.known_until) if t), default=None)


def advanced(mark: Watermark, fetched: Fetched, run_id: str) -> Watermark:
    """The watermark once the chunk is stored: never past anything not yet stored."""
    received = [t for t in (mark.modified_on, fetched.max_modified_on) if t]
    # Until the feed has been read to its end, nothing newer than before is known to be complete.
    reached = None if fetched.has_more else fetched.server_time
    return Watermark(
        token=fetched.token or mark.token,
        modified_on=max(received, default=None),
        known_until=reached or mark.known_until,
        run_id=run_id,
    )


def earlier(entity: str, recorded: Watermark, block: Watermark | None) -> Watermark:
    """Of the warehouse's watermark and the block's, the one that leaves out least; says so where they disagree.

    A block's own token is not trusted then, for it may be of another time than its moments: its moments can be compared.
    """
    if block is None or (block.token == recorded.token and block.since == recorded.since):
        return recorded
    first = min((recorded, block), key=_position)
    _log.warning(
        "%s: the watermark in Prefect (%s) is not the one in the warehouse (%s); reading from the earlier one.",
        entity,
        _position(block).isoformat(),
        _position(recorded).isoformat(),
    )
    return recorded if first is recorded else replace(first, token=None)


def _position(mark: Watermark) -> datetime:
    """How far a watermark is; tokens themselves cannot be compared."""
    return mark.known_until or mark.modified_on or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Watermarks:
    """The watermarks of a tenant as the warehouse has them; of all of them where none is named, to read only."""

    warehouse: Warehouse
    tenant_id: int | None

    def record(self, entity: Entity, mark: Watermark) -> None:
        """Write the entity's watermark; call it inside the transaction that stores the data it stands for.

        Earlier ones stay: of two that only add rows to a table BigQuery gives up neither.
        """
        row = {
            "tenant_id": self.tenant_id,
            "entity": entity.name,
            "token": mark.token,
            "modified_on": mark.modified_on,
            "known_until": mark.known_until,
            "run_id": mark.run_id,
            "saved_at": datetime.now(UTC),
        }
        self.warehouse.insert("st_ops.watermarks", [row])

    def read(self) -> dict[str, Watermark]:
        """The watermark of each entity that is loaded: the one a sync left, else where the first one has to begin.

        Before the first sync that is when the oldest window of the history was fetched.
        """
        params = {"tenant_id": self.tenant_id}
        loaded = self.warehouse.query(
            f"SELECT entity, known_until, newest_change FROM ({KNOWN_UNTIL}) AS known"
            " WHERE tenant_id = @tenant_id",
            params,
        )
        marks = {
            row["entity"]: Watermark(None, row["newest_change"], row["known_until"])
            for row in loaded
        }
        synced = self.warehouse.query(
            f"SELECT entity, token, modified_on, known_until, run_id FROM ({LATEST_MARKS}) AS mark"
            " WHERE tenant_id = @tenant_id",
            params,
        )
        return marks | {
            row.pop("entity"): Watermark(**row) for row in synced if row["entity"] in marks
        }

    def reached(self) -> list[dict[str, Any]]:
        """Of each entity that is loaded, ``known_until``, later loads of it included, and the ``token`` of its feed."""
        return self.warehouse.query(
            "SELECT known.entity, known.known_until, mark.token"
            f" FROM (SELECT entity, tenant_id, known_until FROM ({KNOWN_UNTIL}) AS loaded"
            f" WHERE {of_tenant(self.tenant_id)}) AS known"
            f" LEFT JOIN ({LATEST_MARKS}) AS mark"
            " ON mark.tenant_id = known.tenant_id AND mark.entity = known.entity",
            {"tenant_id": self.tenant_id},
        )
