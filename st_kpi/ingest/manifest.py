"""What was promised, fetched and stored, per entity and window: the truth about completeness.

A row is written in the transaction that stores the data, so there is none for anything half-done.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from st_kpi.servicetitan.registry import Entity
from st_kpi.warehouse.base import Params, Receipt, Warehouse
from st_kpi.warehouse.system_tables import OPERATIONS
from st_kpi.windows import Window


class ReadMode(StrEnum):
    """How the rows of a chunk were asked for."""

    CREATED = "created"  # a createdOn window of the history
    WHOLE = "whole"  # everything there is
    FEED = "feed"  # the export from a token or a day on; it promises no number of rows
    MODIFIED = "modified"  # what changed since a moment, from the list
    AGAIN = "again"  # a createdOn window that a sync reads anew to replace its rows
    SWEEP = "sweep"  # the weekly look back over what changed, from the list


#: Chunks of the history, which a backfill loads; the others are of a sync.
HISTORY_MODES = (ReadMode.CREATED, ReadMode.WHOLE)


@dataclass(frozen=True)
class Scalar:
    """A SELECT of one number, in parentheses, and its parameters."""

    sql: str
    params: Params


@dataclass(frozen=True)
class ChunkRecord:
    """One chunk that is complete: the source promised ``promised`` rows and they are accounted for.

    ``window`` is one of ``createdOn`` or, for the modes modified and sweep, of ``modifiedOn``. ``missed`` counts the rows
    that it brought and that should have been here already. ``schema_fingerprint`` is that of the entity's tables.
    """

    entity: Entity
    mode: ReadMode
    schema_fingerprint: str
    window: Window | None
    promised: int | None
    fetched: int
    rejected: int
    max_modified_on: datetime | None
    server_time: datetime | None
    run_id: str
    started_at: datetime
    missed: Scalar | None = None


@dataclass(frozen=True)
class Completeness:
    """What a run did for the entity of this name, in rows, over so many chunks; nothing where all of it failed.

    ``vanished`` were deleted at the source for good, ``missed`` came later than the feed should have brought them.
    """

    entity: str
    chunks: int = 0
    fetched: int = 0
    stored: int = 0
    changed: int = 0
    vanished: int = 0
    missed: int = 0
    rejected: int = 0


def of_tenant(tenant_id: int | None) -> str:
    """The SQL condition for the rows of ``@tenant_id``, or of every tenant where none is named."""
    return "TRUE" if tenant_id is None else "tenant_id = @tenant_id"


@dataclass(frozen=True)
class Manifest:
    """The chunks of a tenant; of all of them where none is named, which is for reading only."""

    warehouse: Warehouse
    tenant_id: int | None

    def receipt(self, chunk: ChunkRecord) -> Receipt:
        """The chunk's row, to be written by the merge that stores the data."""
        window = chunk.window
        values = {
            "tenant_id": self.tenant_id,
            "entity": chunk.entity.name,
            "kind": str(chunk.mode),
            "typing": chunk.schema_fingerprint,
            "window_start": window.start if window else None,
            "window_end": window.end if window else None,
            "promised": chunk.promised,
            "fetched": chunk.fetched,
            "rejected": chunk.rejected,
            "max_modified_on": chunk.max_modified_on,
            "server_time": chunk.server_time,
            "run_id": chunk.run_id,
            "started_at": chunk.started_at,
            "finished_at": datetime.now(UTC),
        }
        types = dict(OPERATIONS["st_ops.chunks"])
        selected = {name: f"CAST(@{name} AS {types[name]})" for name in values} | {
            "distinct_rows": "@distinct_rows",
            "stored": "@stored_rows",
            "changed": "@changed_rows",
            "vanished": "@vanished_rows",
            "missed": chunk.missed.sql if chunk.missed else "0",
        }
        return Receipt(
            f"INSERT INTO st_ops.chunks ({', '.join(selected)}) SELECT {', '.join(selected.values())}",
            {**values, **(chunk.missed.params if chunk.missed else {})},
            None if chunk.promised is None else chunk.promised - chunk.rejected,
        )

    def chunks(self) -> list[dict[str, Any]]:
        """The row of every chunk, in the order in which they were stored."""
        return self.warehouse.query(
            "SELECT entity, kind, window_start, window_end, promised, fetched, stored, rejected,"
            " max_modified_on, run_id, finished_at"
            f" FROM st_ops.chunks WHERE {of_tenant(self.tenant_id)} ORDER BY finished_at",
            {"tenant_id": self.tenant_id},
        )

    def complete_windows(
        self, entity: Entity, schema_fingerprint: str, tolerated_rejects: int
    ) -> list[Window]:
        """The ``createdOn`` windows that need not be fetched again: read into such tables as there are now."""
        rows = self.warehouse.query(
            "SELECT window_start, window_end FROM st_ops.chunks"
            " WHERE tenant_id = @tenant_id AND entity = @entity AND kind IN ('created', 'again')"
            " AND rejected <= @tolerated AND typing = @typing",
            {
                "tenant_id": self.tenant_id,
                "entity": entity.name,
                "typing": schema_fingerprint,
                "tolerated": tolerated_rejects,
            },
        )
        return [Window(row["window_start"], row["window_end"]) for row in rows]

    def loaded_until(
        self, entities: Iterable[Entity], fingerprints: Mapping[str, str], tolerated_rejects: int
    ) -> dict[str, datetime]:
        """Until when each entity's history is read, by ``createdOn``; nothing for one of which none is.

        ``fingerprints`` are those of the tables as they are now, as in ``complete_windows``.
        """
        rows = self.warehouse.query(
            "SELECT entity, typing, MAX(window_end) AS until FROM st_ops.chunks"
            " WHERE tenant_id = @tenant_id AND kind IN ('created', 'again') AND rejected <= @tolerated"
            " GROUP BY entity, typing",
            {"tenant_id": self.tenant_id, "tolerated": tolerated_rejects},
        )
        until = {(row["entity"], row["typing"]): row["until"] for row in rows}
        keys = {entity.name: (entity.name, fingerprints[entity.name]) for entity in entities}
        return {name: until[key] for name, key in keys.items() if key in until}

    def completeness(
        self,
        run_id: str,
        entities: Iterable[Entity],
        modes: Collection[ReadMode] = tuple(ReadMode),
    ) -> list[Completeness]:
        """What a run did for each of the entities, counted over its chunks of these modes."""
        rows = self.warehouse.query(
            "SELECT entity, COUNT(*) AS chunks, CAST(SUM(fetched) AS INT64) AS fetched,"
            " CAST(SUM(stored) AS INT64) AS stored, CAST(SUM(changed) AS INT64) AS changed,"
            " CAST(SUM(COALESCE(vanished, 0)) AS INT64) AS vanished,"
            " CAST(SUM(COALESCE(missed, 0)) AS INT64) AS missed,"
            " CAST(SUM(rejected) AS INT64) AS rejected"
            " FROM st_ops.chunks WHERE tenant_id = @tenant_id AND run_id = @run_id"
            " AND kind IN UNNEST(@kinds) GROUP BY entity",
            {
                "tenant_id": self.tenant_id,
                "run_id": run_id,
                "kinds": [str(mode) for mode in modes],
            },
        )
        recorded = {row["entity"]: Completeness(**row) for row in rows}
        return [recorded.get(entity.name, Completeness(entity.name)) for entity in entities]

    def swept_at(self) -> dict[str, datetime]:
        """Per entity, when its list was last looked through: by a sweep, else when its history was first read."""
        rows = self.warehouse.query(
            "SELECT entity, COALESCE(MAX(IF(kind = 'sweep', server_time, NULL)), MIN(server_time)) AS swept_at"
            " FROM st_ops.chunks WHERE tenant_id = @tenant_id AND server_time IS NOT NULL GROUP BY entity",
            {"tenant_id": self.tenant_id},
        )
        return {row["entity"]: row["swept_at"] for row in rows}
