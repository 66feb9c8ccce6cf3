"""Whether a warehouse holds what the tenant holds, row by row and column by column."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from st_kpi import ingest
from st_kpi.planning import plan, source_time, wanted_window
from st_kpi.sandbox import Company, create_app
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse.base import Warehouse
from tests.conftest import tenant_session

#: Raw tables of lines, with the table and column of the record they are part of.
LINES = {
    entity.lines: (entity.name, entity.parent_key) for entity in REGISTRY.values() if entity.lines
}


async def assert_equal(warehouse: Warehouse, company: Company, folder: Path) -> None:
    """Compare every live row with those of an undisturbed first load into an empty warehouse."""
    spool = folder / f"undisturbed-{uuid4().hex}"
    spool.mkdir()
    transport = httpx.ASGITransport(create_app(company, requests_per_second=100_000))
    async with tenant_session(transport, spool) as fresh:
        window = wanted_window(fresh.settings, None, None, await source_time(fresh))
        for entity in REGISTRY.values():
            for chunk in await plan(fresh, entity, window):
                ingest.store(fresh, await ingest.fetch(fresh, entity, chunk.window, "x"), "x")
        wrong = {}
        for table in (*REGISTRY, *LINES):
            expected, found = (_live(w, table) for w in (fresh.warehouse, warehouse))
            if expected != found:
                lost, added = _without(expected, found), _without(found, expected)
                wrong[table] = f"{len(lost)} lost {lost[:1]}, {len(added)} not there {added[:1]}"
        assert wrong == {}


def _live(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Every column of the rows that count but when and by which run they came."""
    where = "COALESCE(t.active, TRUE)"
    if table in LINES:
        parent, key = LINES[table]
        where = (
            f"EXISTS (SELECT 1 FROM st_raw.{parent} AS p"
            f" WHERE p.id = t.{key} AND COALESCE(p.active, TRUE))"
        )
    rows = warehouse.query(
        f"SELECT * EXCEPT (_loaded_at, _run_id) FROM st_raw.{table} AS t WHERE {where}"
    )
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


def _without(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    there = {str(row) for row in others}
    return [row for row in rows if str(row) not in there]
