"""Whether a warehouse holds what the tenant holds, row by row and column by column."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from st_kpi.columns import Columns
from st_kpi.ingest.chunk import fetch, store
from st_kpi.ingest.plan import missing_chunks, source_time, wanted_window
from st_kpi.sandbox import Company, create_app
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse.base import Warehouse
from tests.conftest import tenant_session

#: Raw tables of lines, with the table and column of the record they are part of.
LINES = {
    entity.lines: (entity.name, entity.parent_key) for entity in REGISTRY.values() if entity.lines
}


@dataclass(frozen=True)
class Difference:
    """Rows of a table that are missing, and such as should not be there; a row that differs is one of each."""

    expected: int
    lost: list[dict[str, Any]]
    added: list[dict[str, Any]]

    def __str__(self) -> str:
        """How many rows are lost or too many, and an example of what differs."""
        example = (self.lost or self.added)[0]
        twin = next((row for row in self.added if row.get("id") == example.get("id")), None)
        if self.lost and twin:
            example = {k: (v, twin[k]) for k, v in example.items() if v != twin[k]} | {
                "id": example.get("id")
            }
        return (
            f"{self.expected} expected, {len(self.lost)} lost, {len(self.added)} too many,"
            f" such as {example}"
        )


async def assert_equal(
    warehouse: Warehouse, company: Company, folder: Path, entities: Iterable[str] = tuple(REGISTRY)
) -> None:
    """Compare every live row with those of an undisturbed first load into an empty warehouse."""
    transport = httpx.ASGITransport(create_app(company, requests_per_second=100_000))
    wrong = await differences(warehouse, transport, folder, entities)
    assert not wrong, {table: str(difference) for table, difference in wrong.items()}


async def differences(
    warehouse: Warehouse,
    transport: httpx.AsyncBaseTransport,
    folder: Path,
    entities: Iterable[str] = tuple(REGISTRY),
    **settings: object,
) -> dict[str, Difference]:
    """The tables in which live rows are not those of an undisturbed first load through ``transport``."""
    wanted = [REGISTRY[name] for name in entities]
    spool = folder / f"undisturbed-{uuid4().hex}"
    spool.mkdir()
    async with tenant_session(transport, spool, **settings) as fresh:
        window = wanted_window(fresh.settings, None, None, await source_time(fresh))
        for entity in wanted:
            for chunk in await missing_chunks(fresh, entity, window):
                store(fresh, await fetch(fresh, entity, chunk.window, "x"), "x")
        wrong = {}
        columns = (fresh.warehouse.tables(), warehouse.tables())
        for table in [table for e in wanted for table in (e.name, e.lines) if table]:
            expected = _live(fresh.warehouse, table, columns[0])
            found = _live(warehouse, table, columns[1])
            if expected != found:
                wrong[table] = Difference(
                    len(expected), _without(expected, found), _without(found, expected)
                )
    return wrong


def _live(warehouse: Warehouse, table: str, columns: Mapping[str, Columns]) -> list[dict[str, Any]]:
    """The rows that count, but for when they came and for the names of other records that they repeat.

    A record repeats the name that its unit or job type had when it was written; it is not written again when that one
    is renamed, so no reader of changes can know.
    """
    where = "COALESCE(t.active, TRUE)"
    if table in LINES:
        parent, key = LINES[table]
        where = (
            f"EXISTS (SELECT 1 FROM st_raw.{parent} AS p"
            f" WHERE p.id = t.{key} AND COALESCE(p.active, TRUE))"
        )
    names = [name for name, _ in columns[f"st_raw.{table}"]]
    kept = ", ".join(f"t.{name}" for name in names if not _REPEATED.search(f"{table}.{name}"))
    rows = warehouse.query(f"SELECT {kept} FROM st_raw.{table} AS t WHERE {where}")
    return sorted(rows, key=lambda row: str(row.values()))


_REPEATED = re.compile(r"\._(loaded_at|run_id|content_hash)$|_name$|invoices\.job_type$")


def _without(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    there = Counter(str(row) for row in others)
    left = []
    for row in rows:
        if there[str(row)]:
            there[str(row)] -= 1
        else:
            left.append(row)
    return left
