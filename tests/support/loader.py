"""Records typed and merged as a chunk would be, into whatever warehouse a test gives."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.normalized import Normalized, Stamp
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import entity_tables
from st_kpi.warehouse.base import Merged, Reading, Receipt, TypedFiles, Warehouse
from st_kpi.windows import Window


class Loader:
    """Types records and merges them, as a chunk would; each is read by a run of its own."""

    def __init__(self, folder: Path, warehouse: Warehouse) -> None:
        self.folder = folder
        self.warehouse = warehouse
        self.normalizer = Normalizer()
        self.run = uuid4().hex
        self.pages = 0
        self.read_at = datetime(2025, 10, 21, tzinfo=UTC)

    def page(self, entity: str, rows: list[dict[str, Any]]) -> list[Normalized]:
        self.pages += 1
        stamp = Stamp(77, f"{self.run}-{self.pages}", self.read_at)
        tables = entity_tables(REGISTRY[entity])
        records = [json.dumps(row).encode() for row in rows]
        target = self.folder / f"{self.pages}.parquet"
        return self.normalizer.normalize(REGISTRY[entity], tables, stamp, records, target)

    def load(
        self,
        entity: str,
        *pages: list[dict[str, Any]],
        window: Window | None = None,
        everything: Reading | None = None,
        receipt: Receipt | None = None,
    ) -> Merged:
        typed = [part for rows in pages if rows for part in self.page(entity, rows)]
        tables = entity_tables(REGISTRY[entity])
        records = TypedFiles(tables.records, tuple(p.records for p in typed))
        lines = tuple(p.lines for p in typed if p.lines)
        nested = TypedFiles(tables.lines, lines) if tables.lines else None
        return self.warehouse.merge(
            records, nested, tenant_id=77, window=window, everything=everything, receipt=receipt
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.warehouse.query(sql)]


def invoice(number: int, modified: int, total: str, *items: str) -> dict[str, Any]:
    """An invoice modified in January's day ``modified``, with an item per cost."""
    return {
        "id": number,
        "createdOn": "2025-01-01T00:00:00Z",
        "modifiedOn": f"2025-01-{modified:02}T00:00:00Z" if modified else None,
        "subTotal": total,
        "items": [{"id": 10 * number + n, "totalCost": cost} for n, cost in enumerate(items)],
    }
