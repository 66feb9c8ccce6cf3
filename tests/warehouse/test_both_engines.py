"""A tenant loaded, changed, synced and built twice on either engine: the published numbers are the same, value for value."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from st_kpi.cli.demo import compare
from st_kpi.cli.render import coverage_csv
from st_kpi.ingest import changes
from st_kpi.ingest.chunk import fetch, store
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.plan import missing_chunks, source_time, wanted_window
from st_kpi.ingest.session import Session, credentials
from st_kpi.ingest.status import read as health
from st_kpi.ingest.watermarks import advanced
from st_kpi.kpis.build import BuildResult, build
from st_kpi.kpis.definitions.statements import default_root
from st_kpi.reporting import coverage, published, weekly_report
from st_kpi.reporting.explain import explain
from st_kpi.reporting.weekly_report import document
from st_kpi.sandbox import Company, create_app, generate_company
from st_kpi.sandbox.books import Books
from st_kpi.sandbox.faults.app import misbehave
from st_kpi.sandbox.faults.names import Faults
from st_kpi.sandbox.life.day import live
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY, Changes
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.conftest import tenant_settings
from tests.support.bigquery_emulator import emptied
from tests.support.counted import Counts, counted
from tests.support.reports import pulled

#: What readers and the next build rely on.
TABLES = (
    "st_kpi.contributions",
    "st_kpi.left_out",
    "st_kpi.left_out_snapshots",
    "st_kpi.kpi_weekly",
    "st_kpi.kpi_daily",
    "st_kpi.kpi_weekly_wide",
    "st_kpi.snapshot_days",
    "st_kpi.kpi_reported",
    "st_kpi.kpi_changes",
    "st_kpi.contribution_changes",
    "st_dim.dim_jobs",
    "st_dim.fact_job_costs",
    "st_ref.dim_bu_rollup",
    "st_ops.seen_rows",
)
#: When the source was read, which is another moment on either engine.
MOMENTS = {"input_watermark"}


@asynccontextmanager
async def session_on(
    warehouse: Warehouse, company: Company, folder: Path, faults: Sequence[str] = ()
) -> AsyncIterator[Session]:
    settings = tenant_settings()
    warehouse.ensure(raw_tables())
    app = create_app(company, requests_per_second=100_000)
    transport = httpx.ASGITransport(misbehave(app, Faults.parse(faults)))
    api_url, auth_url = settings.hosts
    source = ServiceTitan(
        credentials(settings), api_url=api_url, auth_url=auth_url, transport=transport
    )
    folder.mkdir()
    async with source:
        yield Session(settings, warehouse, Normalizer(), folder, source)
    warehouse.close()


async def load(session: Session) -> None:
    """The whole history, as the backfill loads it."""
    window = wanted_window(session.settings, None, None, await source_time(session))
    for entity in REGISTRY.values():
        for chunk in await missing_chunks(session, entity, window):
            fetched = await fetch(session, entity, chunk.window, "load")
            store(session, fetched, "load")


async def follow(session: Session) -> int:
    """What changed since, by the feeds and lists that the daily sync reads; returns how many rows changed."""
    marks = session.watermarks.read()
    now = await source_time(session)
    for entity in REGISTRY.values():
        mark = marks[entity.name]
        if entity.changes is Changes.WINDOWS:
            chunks, _ = await changes.changed_windows(session, entity, mark, now, "sync")
            for chunk in chunks:
                fetched = await fetch(session, entity, chunk.window, "sync", ReadMode.AGAIN)
                store(session, fetched, "sync")
            continue
        has_more = True
        while has_more:
            fetched = await changes.fetch_changes(session, entity, mark, "sync")
            store(session, fetched, "sync", mark)
            mark, has_more = advanced(mark, fetched, "sync"), fetched.has_more
    return sum(row.changed for row in session.manifest.completeness("sync", REGISTRY.values()))


def built(
    session: Session, company: Company, run_id: str, mappings: Path | None = None
) -> BuildResult:
    settings = session.settings.model_copy(update={"mappings": mappings})
    return build(session.warehouse, settings=settings, as_of=company.last_day, run_id=run_id)


def without_some(folder: Path, company: Company) -> Path:
    """Mapping files by which a pair of units, another one from a day on, and two job types do not count; and an acceptance."""
    files = shutil.copytree(default_root() / "mappings", folder)
    day = company.last_day - timedelta(days=30)
    units = (files / "business_units.csv").read_text(encoding="utf-8")
    units = units.replace("Denver Sales,DEN,SALES", "Denver Sales,,NONE")
    units = units.replace("Denver Production,DEN,PRODUCTION", "Denver Production,,NONE")
    until = f"Phoenix Production,PHX,PRODUCTION,,{day - timedelta(days=1)}"
    units = units.replace("Phoenix Production,PHX,PRODUCTION,,", until)
    units += f"Phoenix Production,,NONE,{day},\n"
    (files / "business_units.csv").write_text(units, encoding="utf-8")
    types = (files / "job_types.csv").read_text(encoding="utf-8")
    types = types.replace("\nRES-INT,production", "\nRES-INT,none")
    types = types.replace("Estimate - RES-EXT,estimate", "Estimate - RES-EXT,none")
    (files / "job_types.csv").write_text(types, encoding="utf-8")
    accepted = "check,subject,reason,valid_to\nreferences_resolve,appointments.job_id,Deleted,\n"
    (files / "accepted_checks.csv").write_text(accepted, encoding="utf-8")
    return Path(files)


def rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    every = warehouse.query(f"SELECT * FROM {table}")
    return [{k: v for k, v in row.items() if k not in MOMENTS} for row in every]


def comparable(*tables: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each in one order, with six decimals where one engine has FLOAT64.

    That is the emulator's SAFE_DIVIDE; BigQuery's of two NUMERICs is one.
    """
    inexact = {
        k for table in tables for row in table for k, v in row.items() if isinstance(v, float)
    }
    rounded = [
        [
            {k: v if k not in inexact or v is None else round(float(v), 6) for k, v in row.items()}
            for row in table
        ]
        for table in tables
    ]
    return [sorted(table, key=lambda row: [str(row[k]) for k in sorted(row)]) for table in rounded]


def covered(session: Session, company: Company, folder: Path) -> str:
    """What each line of the mapping files covers, as CSV; one of them holds for some days alone."""
    for name in ("business_units.csv", "job_types.csv"):
        text = (default_root() / "mappings" / name).read_text(encoding="utf-8")
        (folder / name).write_text(
            text.replace(
                "Phoenix Production,PHX,PRODUCTION,,", "Phoenix Production,PHX,PRODUCTION,1/2/2025,"
            )
        )
    return coverage_csv(
        coverage.read(
            session.warehouse,
            folder,
            tenant_id=company.tenant_id,
            timezone="America/Phoenix",
            today=company.last_day,
        )
    )


@asynccontextmanager
async def both(
    company: Company, folder: Path, url: str, faults: Sequence[str] = ()
) -> AsyncIterator[list[Session]]:
    """A session on DuckDB and one on BigQuery, each with the company's whole history."""
    async with (
        session_on(DuckDBWarehouse(":memory:"), company, folder / "a", faults) as duckdb,
        session_on(emptied(url), company, folder / "b", faults) as bigquery,
    ):
        for session in (duckdb, bigquery):
            await load(session)
        yield [duckdb, bigquery]


def page_of(session: Session) -> list[Any]:
    """What the weekly review shows and what is behind it, without the moments of reading."""
    review = weekly_report.read(session.warehouse, session.settings)
    shown = document.overview(review)
    entities = [entity for entity, *_ in shown.pop("inputs")]
    del shown["knownUntil"]
    return [shown, sorted(entities), document.opened_weeks(review)]


def assert_same_tables(sessions: list[Session]) -> None:
    for table in TABLES:
        one, other = comparable(*(rows(s.warehouse, table) for s in sessions))
        assert one == other, table


async def assert_same_comparisons(sessions: list[Session], company: Company) -> None:
    """Numbers beside the company's reports, with planted differences in one of them and all readings tried on it."""
    faults = {"gpm": ["report-orders-only", "report-row-missing=0.9"]}
    for kpi in ("gpm", "collected", "outstanding_ar", "success_rate", "total_booked"):
        results = [
            await pulled(s.warehouse, company, s.settings, kpi, week, *faults.get(kpi, []))
            for s in sessions
            for week in [busiest_week(sessions[0].warehouse, kpi)]
        ]
        (one, _), (other, _) = results
        assert one.lines == other.lines, kpi
        assert one.readings == other.readings, kpi
        assert one.lines, kpi
        assert one.agrees is (kpi not in faults), kpi


def busiest_week(warehouse: Warehouse, kpi: str) -> date:
    (row,) = warehouse.query(
        "SELECT DATE_TRUNC(on_date, WEEK(MONDAY)) AS week_start FROM st_kpi.contributions"
        " WHERE kpi = @kpi GROUP BY week_start ORDER BY COUNT(*) DESC, week_start LIMIT 1",
        {"kpi": kpi},
    )
    week: date = row["week_start"]
    return week


def assert_within(counts: Counts, *, jobs: int, waits: int, gigabytes: float) -> None:
    """What was asked of BigQuery is no more than this: its time there is that of the jobs, whatever their rows."""
    assert counts.jobs <= jobs, counts
    assert counts.waits <= waits, counts
    assert counts.bytes <= gigabytes * 1e9, counts
    assert counts.dry_runs == 0


async def test_both_engines_publish_the_same_numbers_day_after_day(
    tmp_path: Path, bigquery_url: str
) -> None:
    """And BigQuery is asked little for it; bytes are those of a company with five hundred times the jobs."""
    company = generate_company(seed=7, scale=0.002)
    with counted(bigquery_url, times=500) as proxy:
        async with both(company, tmp_path, proxy.url) as sessions:
            proxy.clear()
            duckdb, bigquery = (built(session, company, "one") for session in sessions)
            assert_within(proxy.counts(), jobs=40, waits=28, gigabytes=3.8)
            assert duckdb.rows == bigquery.rows
            assert duckdb.checks == bigquery.checks
            assert not duckdb.bytes
            assert set(bigquery.bytes) > {"contributions", "dim/dim_jobs"}  # an emulator says 0
            assert_same_tables(sessions)
            assert len({covered(session, company, tmp_path) for session in sessions}) == 1
            one, other = (page_of(session) for session in sessions)
            assert one == other
            cells = Books(company).weekly(company.last_day).items()
            books = {key: (cell.numerator, cell.denominator or Decimal(0)) for key, cell in cells}
            assert "equal to the cent" in compare(sessions[0].warehouse, books)
            await assert_same_comparisons(sessions, company)

            live(company, Random(1), 60, renames=False)
            proxy.clear()
            changed = [await follow(session) for session in sessions]
            assert changed[0] == changed[1] > 30
            assert_within(proxy.counts(), jobs=32, waits=32, gigabytes=2)
            proxy.clear()
            duckdb, bigquery = (built(session, company, "two") for session in sessions)
            assert_within(proxy.counts(), jobs=39, waits=31, gigabytes=4.4)
            assert duckdb.in_part == bigquery.in_part
            assert duckdb.in_part
            assert duckdb.rows == bigquery.rows
            assert duckdb.checks == bigquery.checks
            assert_same_tables(sessions)


@pytest.mark.slow
async def test_both_engines_follow_a_day_at_the_company(tmp_path: Path, bigquery_url: str) -> None:
    company = generate_company(seed=7, scale=0.005)
    mappings = without_some(tmp_path / "mappings", company)
    async with both(company, tmp_path, bigquery_url, ["long-records#3"]) as sessions:
        first = [built(session, company, "one", mappings) for session in sessions]
        live(company, Random(1), 100, renames=False)
        changed = [await follow(session) for session in sessions]
        assert changed[0] == changed[1] > 50
        second = [built(session, company, "two", mappings) for session in sessions]

        for duckdb, bigquery in (first, second):
            # BigQuery knows when a table was written, and not whether that changed a row.
            assert set(duckdb.recomputed) <= set(bigquery.recomputed)
            assert duckdb.in_part == bigquery.in_part
            assert duckdb.rows == bigquery.rows
            assert duckdb.checks == bigquery.checks
        assert second[0].in_part
        assert_same_tables(sessions)

        answers = [
            (
                replace(published.read(s.warehouse, weeks=4), input_watermark=None),
                replace(explain(s.warehouse, "gpm", week=company.last_day), input_watermark=None),
                [
                    (e.entity, e.rows, e.stored, e.gaps)
                    for e in health(s.warehouse, s.settings).entities
                ],
            )
            for s in sessions
        ]
        assert answers[0] == answers[1]
        shown = answers[0][0]
        assert {"produced", "gpm", "collected"} <= {money.kpi for money in shown.uncounted}
        assert "DEN" not in shown.rollups
        assert [each["subject"] for each in shown.accepted] == ["appointments.job_id"]

        # The files as they come: units and types count again, of which the history tells by the rows that moved.
        remapped = [built(session, company, "three") for session in sessions]
        assert remapped[0].rows == remapped[1].rows
        assert_same_tables(sessions)
        causes = rows(sessions[1].warehouse, "st_kpi.kpi_changes")
        assert {row["cause"] for row in causes if row["build"] == 3} >= {"remapped"}
