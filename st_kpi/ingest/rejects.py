"""What did not fit: records that were refused, fields that no model knows, and what a person is told of them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from st_kpi.ingest.manifest import Completeness, of_tenant
from st_kpi.ingest.normalized import Reject
from st_kpi.servicetitan.registry import Entity
from st_kpi.warehouse.base import Warehouse

_log = logging.getLogger(__name__)

#: Of an entity so many unknown fields are told by name.
_MOST_FIELDS = 1_000


@dataclass
class _Memory:
    """What a run asks once and keeps, by entity; None until then. ``again`` are known fields that have come."""

    lock: Lock = field(default_factory=Lock)
    outstanding: dict[str, set[str]] | None = None
    drift: dict[str, set[str]] | None = None
    again: set[str] = field(default_factory=set)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for entity, value in pairs:
        groups.setdefault(entity, set()).add(value)
    return groups


@dataclass(frozen=True)
class Rejects:
    """The refused records and unknown fields of a tenant; of all of them where none is named, to read only."""

    warehouse: Warehouse
    tenant_id: int | None
    _memory: _Memory = field(default_factory=_Memory, repr=False, compare=False)

    def record(self, entity: Entity, run_id: str, rejects: Iterable[Reject]) -> None:
        """Keep every field that kept a record out."""
        now, rejects = datetime.now(UTC), list(rejects)
        with self._memory.lock:
            if self._memory.outstanding is not None:
                refused = self._memory.outstanding.setdefault(entity.name, set())
                refused.update(r.source_id for r in rejects if r.source_id is not None)
        self.warehouse.insert(
            "st_ops.rejects",
            [
                self._key(entity)
                | {
                    "source_id": reject.source_id,
                    "field": reject.field,
                    "value": reject.value,
                    "reason": reject.reason,
                    "run_id": run_id,
                    "rejected_at": now,
                }
                for reject in rejects
            ],
        )

    def outstanding(self, entity: Entity) -> list[str]:
        """Ids of the records that were refused and may not have come in a form that fits since.

        Asked for once of all entities: those that come right meanwhile stay among them.
        """
        with self._memory.lock:
            if self._memory.outstanding is None:
                rows = self.warehouse.query(
                    "SELECT DISTINCT entity, source_id FROM st_ops.rejects"
                    " WHERE tenant_id = @tenant_id AND resolved_at IS NULL AND source_id IS NOT NULL",
                    {"tenant_id": self.tenant_id},
                )
                self._memory.outstanding = _grouped((r["entity"], r["source_id"]) for r in rows)
            return sorted(self._memory.outstanding.get(entity.name, ()))

    def outstanding_counts(self) -> dict[str, int]:
        """How many such records there are, by entity; nothing for one that has none."""
        rows = self.warehouse.query(
            "SELECT entity, COUNT(DISTINCT source_id) AS n FROM st_ops.rejects"
            f" WHERE resolved_at IS NULL AND {of_tenant(self.tenant_id)} GROUP BY entity",
            {"tenant_id": self.tenant_id},
        )
        return {row["entity"]: int(row["n"]) for row in rows}

    def resolve(self, entity: Entity, ids: Iterable[str]) -> None:
        """Note that these records fit now."""
        self.warehouse.execute(
            "UPDATE st_ops.rejects SET resolved_at = @now"
            " WHERE tenant_id = @tenant_id AND entity = @entity AND resolved_at IS NULL"
            " AND source_id IN UNNEST(@ids)",
            self._key(entity) | {"ids": list(ids), "now": datetime.now(UTC)},
        )

    def record_drift(self, entity: Entity, run_id: str, fields: Iterable[str]) -> None:
        """Keep each field that the models do not know, once per entity, with when it was first and last seen.

        Of an entity at most ``_MOST_FIELDS``: where names are without number, they are values. ``_extra`` has them all.
        What is known is written by ``see_again``.
        """
        seen = set(fields)
        if not seen:
            return
        key, now = self._key(entity), datetime.now(UTC)
        with self._memory.lock:
            if self._memory.drift is None:
                rows = self.warehouse.query(
                    "SELECT entity, field FROM st_ops.schema_drift WHERE tenant_id = @tenant_id",
                    {"tenant_id": self.tenant_id},
                )
                self._memory.drift = _grouped((row["entity"], row["field"]) for row in rows)
            known = self._memory.drift.setdefault(entity.name, set())
        self._memory.again |= {f"{entity.name} {name}" for name in seen & known}
        new = sorted(seen - known)[: max(0, _MOST_FIELDS - len(known))]
        if left := len(seen - known) - len(new):
            _log.warning(
                "%s: %d more fields that are not known, such as %.100s, are in _extra and not named in"
                " st_ops.schema_drift",
                entity.name,
                left,
                max(seen - known),
            )
        self.warehouse.insert(
            "st_ops.schema_drift",
            [
                key | {"field": field, "run_id": run_id, "first_seen_at": now, "last_seen_at": now}
                for field in new
            ],
        )
        known.update(new)

    def see_again(self) -> None:
        """Write that the known fields which have come since were seen last now: once, for all entities.

        Several that update the table while they store chunks would stand in each other's way.
        """
        again = sorted(self._memory.again)
        if again:
            self.warehouse.execute(
                "UPDATE st_ops.schema_drift SET last_seen_at = @now"
                " WHERE tenant_id = @tenant_id AND CONCAT(entity, ' ', field) IN UNNEST(@fields)",
                {"tenant_id": self.tenant_id, "now": datetime.now(UTC), "fields": again},
            )
            self._memory.again.difference_update(again)

    def forget(self) -> None:
        """Ask anew for what is kept: what was written of it has been rolled back."""
        with self._memory.lock:
            self._memory.outstanding = self._memory.drift = None

    def messages(self, rows: Iterable[Completeness], tolerated: int) -> list[str]:
        """A sentence for each entity with more refused records than that: of a run, or still to come right."""
        outstanding = self.outstanding_counts()
        counts = {row.entity: max(row.rejected, outstanding.get(row.entity, 0)) for row in rows}
        return [
            f"{entity}: {refused:,} rows refused, for example {self._example(entity)};"
            " st_ops.rejects has them all."
            for entity, refused in counts.items()
            if refused > tolerated
        ]

    def _example(self, entity: str) -> str:
        """Id, field and reason of the last refusal; values stay in the warehouse."""
        (row,) = self.warehouse.query(
            "SELECT source_id, field, reason FROM st_ops.rejects"
            " WHERE tenant_id = @tenant_id AND entity = @entity"
            " ORDER BY rejected_at DESC, source_id LIMIT 1",
            {"tenant_id": self.tenant_id, "entity": entity},
        )
        return f"id {row['source_id']}, field {row['field']}: {row['reason']}"

    def _key(self, entity: Entity) -> dict[str, object]:
        return {"tenant_id": self.tenant_id, "entity": entity.name}
