"""Chunks against the sandbox tenant over ASGI: everything promised is stored, or nothing is recorded."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import httpx
import pytest

from st_kpi.errors import IncompleteChunk, WarehouseError
from st_kpi.ingest.chunk import fetch, fetch_modified, store
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.plan import missing_chunks, source_time, wanted_entities, wanted_window
from st_kpi.ingest.session import Session, client
from st_kpi.sandbox import Company, create_app, generate_company
from st_kpi.sandbox.clock import SECOND
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.windows import Window
from tests.conftest import tenant_session

Edit = Callable[[httpx.Request, dict[str, Any]], None]


class Tampering(httpx.AsyncBaseTransport):
    """The sandbox, with one kind of lie: ``edit`` changes the parsed answers of lists."""

    def __init__(self, company: Company, edit: Edit) -> None:
        self._inner = httpx.ASGITransport(create_app(company, requests_per_second=10_000))
        self._edit = edit

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        body = json.loads(await response.aread())
        if "data" in body:
            self._edit(request, body)
        return httpx.Response(
            response.status_code, headers={"Date": response.headers.get("Date", "")}, json=body
        )


async def load(session: Session, name: str, run_id: str = "run-1", **days: date) -> int:
    """Backfill one entity; returns the rows that changed."""
    wanted = wanted_window(
        session.settings, days.get("start"), days.get("end"), await source_time(session)
    )
    changed = 0
    for chunk in await missing_chunks(session, REGISTRY[name], wanted):
        fetched = await fetch(session, REGISTRY[name], chunk.window, run_id)
        changed += store(session, fetched, run_id).changed
    return changed


def complete(session: Session, name: str) -> list[Window]:
    fingerprint = session.tables[name].fingerprint
    return session.manifest.complete_windows(REGISTRY[name], fingerprint, tolerated_rejects=0)


def dump(session: Session, table: str) -> list[tuple[Any, ...]]:
    rows = session.warehouse.query(f"SELECT * FROM st_raw.{table}")
    return sorted(tuple(str(value) for value in row.values()) for row in rows)


async def test_every_entity_is_stored_as_the_tenant_has_it_and_again_changes_nothing(
    session: Session, company: Company
) -> None:
    for entity in wanted_entities(None):
        await load(session, entity.name)
    counts = {
        row.entity: (row.fetched, row.stored, row.rejected)
        for row in session.manifest.completeness("run-1", REGISTRY.values())
    }
    assert counts.keys() == REGISTRY.keys()
    # Deleted rows of these three are not in the lists; only their feeds have them.
    for name in ("jobs", "gross_pay_items", "inventory_bills"):
        listed = [row for row in getattr(company, name) if row.active]
        assert counts[name] == (len(listed), len(listed), 0)
    for name in ("appointments", "estimates", "invoices", "payments", "customers", "locations"):
        rows = len(getattr(company, name))
        assert counts[name] == (rows, rows, 0)
    lines = session.warehouse.query("SELECT COUNT(*) AS n FROM st_raw.invoice_items")[0]["n"]
    assert lines == sum(len(invoice.items) for invoice in company.invoices)

    tables = [*REGISTRY, "invoice_items", "estimate_items", "payment_applications"]
    before = {table: dump(session, table) for table in tables}
    assert sum([await load(session, name, "run-2") for name in REGISTRY]) == 0
    assert {table: dump(session, table) for table in tables} == before


async def test_no_personal_data_reaches_the_warehouse(session: Session, company: Company) -> None:
    for name in ("customers", "locations", "invoices", "payments", "gross_pay_items"):
        await load(session, name)
    stored = "\n".join(
        str(dump(session, table)) for table in ("customers", "locations", "invoices", "payments")
    )
    names = {customer.name for customer in company.customers if len(customer.name) > 8}
    assert len(names) > 100
    assert [name for name in names if name in stored] == []
    assert session.warehouse.query("SELECT COUNT(*) AS n FROM st_raw.customers WHERE is_test")[0][
        "n"
    ]


async def test_chunks_follow_the_counts(company: Company, tmp_path: Path) -> None:
    app = create_app(company, requests_per_second=10_000)
    async with tenant_session(httpx.ASGITransport(app), tmp_path, chunk_rows=1_000) as session:
        wanted = wanted_window(session.settings, None, None, await source_time(session))
        chunks = await missing_chunks(session, REGISTRY["appointments"], wanted)
        assert len(chunks) > 1
        assert all(chunk.rows <= 1_000 for chunk in chunks)
        assert sum(chunk.rows for chunk in chunks) == len(company.appointments)
        assert await load(session, "appointments") == len(company.appointments)
        assert await missing_chunks(session, REGISTRY["appointments"], wanted) == []


async def test_what_is_complete_is_not_asked_for_again(session: Session) -> None:
    await load(session, "jobs", start=date(2021, 1, 1), end=date(2022, 12, 31))
    wanted = wanted_window(session.settings, None, None, await source_time(session))
    labels = [
        chunk.window.label(session.settings.zone)
        for chunk in await missing_chunks(session, REGISTRY["jobs"], wanted)
        if chunk.window
    ]
    assert labels[0] == "2020-01-01..2020-12-31"
    assert labels[1].startswith("2023-01-01..")


def drop_one(request: httpx.Request, body: dict[str, Any]) -> None:
    body["data"] = body["data"][1:]


def repeat_one(request: httpx.Request, body: dict[str, Any]) -> None:
    """A row that moved between pages: the count is right and the set is not."""
    if len(body["data"]) > 1:
        body["data"][0] = body["data"][1]


def grow(request: httpx.Request, body: dict[str, Any]) -> None:
    """One more record by the time the total is asked again."""
    if body.get("totalCount") is not None and request.url.params["pageSize"] == "1":
        body["totalCount"] += 1


@pytest.mark.parametrize(
    "edit", [drop_one, repeat_one, grow], ids=["a row lost", "a row twice", "a moving total"]
)
async def test_what_is_not_complete_is_not_recorded(
    company: Company, tmp_path: Path, edit: Edit
) -> None:
    async with tenant_session(Tampering(company, edit), tmp_path) as session:
        window = wanted_window(session.settings, None, None, await source_time(session))
        with pytest.raises(IncompleteChunk, match="jobs 2020-01-01"):
            store(session, await fetch(session, REGISTRY["jobs"], window, "run-1"), "run-1")
        assert dump(session, "jobs") == []
        assert complete(session, "jobs") == []
        assert list(tmp_path.iterdir()) == []


def misprint(request: httpx.Request, body: dict[str, Any]) -> None:
    for row in body["data"]:
        if row["id"] % 100 == 0:
            row["createdOn"] = "soon"
        row["surprise"] = 1


async def test_rejects_and_drift_are_kept_and_the_window_stays_open(
    company: Company, tmp_path: Path
) -> None:
    async with tenant_session(Tampering(company, misprint), tmp_path) as session:
        await load(session, "jobs")
        bad = {job.id for job in company.jobs if job.active and job.id % 100 == 0}
        rejects = session.warehouse.query("SELECT source_id, field, value FROM st_ops.rejects")
        assert {int(row["source_id"]) for row in rejects} == bad
        assert {(row["field"], row["value"]) for row in rejects} == {("createdOn", "soon")}
        drift = session.warehouse.query("SELECT entity, field FROM st_ops.schema_drift")
        assert drift == [{"entity": "jobs", "field": "surprise"}]
        stored = session.warehouse.query("SELECT COUNT(*) AS n FROM st_raw.jobs")[0]["n"]
        assert stored == sum(job.active for job in company.jobs) - len(bad)
        assert complete(session, "jobs") == []


async def test_drift_of_a_chunk_that_was_not_stored_is_kept_with_the_next(
    company: Company, tmp_path: Path
) -> None:
    async with tenant_session(Tampering(company, misprint), tmp_path) as session:
        fetched = await fetch(session, REGISTRY["job_types"], None, "run-1")
        for part in fetched.slices:
            part.records.unlink()
        with pytest.raises(WarehouseError):
            store(session, fetched, "run-1")
        assert session.warehouse.query("SELECT field FROM st_ops.schema_drift") == []
        await load(session, "job_types")
        drift = session.warehouse.query("SELECT entity, field FROM st_ops.schema_drift")
        assert drift == [{"entity": "job_types", "field": "surprise"}]


def catalogue(request: httpx.Request, body: dict[str, Any]) -> None:
    for row in body["data"]:
        row |= {f"{row['id']}-{n:04}": n for n in range(400)}


async def test_names_without_number_are_kept_but_not_each_told(
    company: Company, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with tenant_session(Tampering(company, catalogue), tmp_path) as session:
        await load(session, "job_types")
        (told,) = session.warehouse.query("SELECT COUNT(*) AS n FROM st_ops.schema_drift")
        kept = session.warehouse.query("SELECT id, _extra FROM st_raw.job_types")
    assert told["n"] == 1_000
    assert len(kept) > 3
    assert f"{len(kept) * 400 - 1_000} more fields that are not known" in caplog.text
    for row in kept:
        assert json.loads(row["_extra"]) == {f"{row['id']}-{n:04}": n for n in range(400)}


async def test_an_empty_window_is_recorded_as_complete(session: Session) -> None:
    assert (
        await load(session, "gross_pay_items", start=date(2019, 1, 1), end=date(2019, 1, 31)) == 0
    )
    assert len(complete(session, "gross_pay_items")) == 1


async def test_the_watermark_stays_at_the_first_reading_of_the_history(session: Session) -> None:
    """Later loads only add windows: a change to an old record since the first load is still unread."""
    first = datetime(2025, 1, 1, 12, tzinfo=UTC)
    chunks = [
        ("jobs", "created", first, first - timedelta(days=3)),
        ("jobs", "created", first + timedelta(days=9), first + timedelta(days=8)),
        ("payments", "created", first, first - timedelta(days=30)),
        ("job_types", "whole", first, first - timedelta(days=90)),
        ("job_types", "whole", first + timedelta(days=9), first + timedelta(days=5)),
    ]
    session.warehouse.insert(
        "st_ops.chunks",
        [
            {
                "tenant_id": session.tenant_id,
                "entity": entity,
                "kind": kind,
                "server_time": server_time,
                "max_modified_on": newest,
            }
            for entity, kind, server_time, newest in chunks
        ],
    )
    since = {name: mark.since for name, mark in session.watermarks.read().items()}
    assert since == {
        "jobs": first,
        "payments": first - timedelta(days=30),
        "job_types": first + timedelta(days=5),
    }


async def test_what_would_be_typed_otherwise_now_is_loaded_again(
    company: Company, tmp_path: Path
) -> None:
    app = create_app(company, requests_per_second=10_000)
    transport = httpx.ASGITransport(app)
    async with tenant_session(transport, tmp_path) as session:
        await load(session, "customers")
        (before,) = session.warehouse.query(TEST_CUSTOMERS)
        settings = session.settings.model_copy(update={"test_customer_pattern": "a"})
        other = replace(session, settings=settings)
        assert await load(other, "customers") == len(company.customers)
        (after,) = session.warehouse.query(TEST_CUSTOMERS)
        assert 0 < before["n"] < after["n"]
        assert await load(other, "customers") == 0


TEST_CUSTOMERS = "SELECT COUNT(*) AS n FROM st_raw.customers WHERE is_test"


async def test_a_part_of_what_has_no_key_never_replaces_the_whole(session: Session) -> None:
    await load(session, "gross_pay_items")
    before = dump(session, "gross_pay_items")
    pay = REGISTRY["gross_pay_items"]
    fetched = await fetch_modified(
        session, pay, datetime(2025, 9, 1, tzinfo=UTC), "run-2", ReadMode.SWEEP
    )
    with pytest.raises(ValueError, match="would replace the whole"):
        store(session, fetched, "run-2")
    assert dump(session, "gross_pay_items") == before


class _ADayBack(datetime):
    """Our clock once it has been set back by a day."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) - timedelta(days=1)


async def test_what_is_read_later_counts_though_our_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides between versions of equal ``modifiedOn``, and what a list of everything no longer has."""
    company = generate_company(seed=7, scale=0.01)
    transport = httpx.ASGITransport(create_app(company, requests_per_second=10_000))
    async with tenant_session(transport, tmp_path) as session:
        await load(session, "campaigns")
        edited, deleted = company.campaigns[:2]
        edited.name = "edited without a new modifiedOn"
        company.campaigns.remove(deleted)
        company.now += SECOND
        company.touch()
        for module in ("st_kpi.ingest.chunk", "st_kpi.servicetitan.clock"):
            monkeypatch.setattr(f"{module}.datetime", _ADayBack)
        async with client(session.settings, transport=transport) as source:
            again = replace(session, source=source)  # as another process has it
            merged = store(again, await fetch(again, REGISTRY["campaigns"], None, "run"), "run")
            rows = session.warehouse.query("SELECT id, name, active FROM st_raw.campaigns")
            company.campaigns.append(deleted)
            company.touch()
            back = store(again, await fetch(again, REGISTRY["campaigns"], None, "run"), "run")
        assert (merged.changed, merged.vanished) == (1, 1)
        assert back.changed == 1
        stored = {row["id"]: row for row in rows}
        assert stored[edited.id]["name"] == edited.name
        assert stored[deleted.id]["active"] is False


async def test_a_reading_that_is_stored_late_does_not_overwrite_a_newer_one(
    tmp_path: Path,
) -> None:
    """Two runs at once, of which the one that read first stores last."""
    company = generate_company(seed=7, scale=0.01)
    transport = httpx.ASGITransport(create_app(company, requests_per_second=10_000))
    entity = REGISTRY["campaigns"]
    async with (
        tenant_session(transport, tmp_path) as session,
        client(session.settings, transport=transport) as source,
    ):
        early = await fetch(session, entity, None, "early")
        company.campaigns[0].name = "edited without a new modifiedOn"
        company.now += SECOND
        company.touch()
        other = replace(session, source=source)
        store(other, await fetch(other, entity, None, "late"), "late")
        assert store(session, early, "early").changed == 0
        (row,) = session.warehouse.query(
            "SELECT name FROM st_raw.campaigns WHERE id = @id", {"id": company.campaigns[0].id}
        )
        assert row["name"] == company.campaigns[0].name
