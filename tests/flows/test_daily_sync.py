"""The daily sync on a real Prefect server and real HTTP: after a day at the company the warehouse equals it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from flows.backfill import backfill
from flows.daily_sync import daily_sync
from flows.refresh_kpis import refresh_kpis
from flows.repair_gap import repair_gap
from st_kpi.cli.demo import compare
from st_kpi.errors import NothingLoaded, RunFailed
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.plan import gap_in_history, source_time
from st_kpi.ingest.session import Session, open_session
from st_kpi.ingest.watermarks import Watermark, earlier
from st_kpi.sandbox import generate_company
from st_kpi.sandbox.clock import SECOND
from st_kpi.servicetitan.registry import REGISTRY
from tasks.watermarks import EntityWatermark, block_name
from tests.conftest import tenant_settings
from tests.flows.conftest import Loaded
from tests.support import source
from tests.support.tenant import Tenant

server = pytest.mark.usefixtures("prefect_server")


#: One entity of each kind, and those that lines belong to.
MOVING = [
    "jobs",
    "invoices",
    "payments",
    "receipts",
    "gross_pay_items",
    "inventory_bills",
    "materials",
]


def one(session: Session, sql: str) -> dict[str, Any]:
    (row,) = session.warehouse.query(sql)
    return row


@server
async def test_days_go_by_and_the_warehouse_follows(loaded: Loaded, tmp_path: Path) -> None:
    async with loaded() as (tenant, session):
        for day in range(3):
            tenant.live(150, seed=day)
            run_id = await daily_sync()
            await source.assert_equal(session.warehouse, tenant.company, tmp_path)
            rows = session.manifest.completeness(run_id, REGISTRY.values())
            assert sum(row.changed for row in rows) > 100
            assert sum(row.missed for row in rows) == 0
        await refresh_kpis(tenant.company.last_day)
        assert "equal to the cent" in compare(session.warehouse, tenant.books())  # type: ignore[arg-type]

        deleted = {job.id for job in tenant.company.jobs if not job.active}
        stored = session.warehouse.query("SELECT id FROM st_raw.jobs WHERE NOT active")
        assert {row["id"] for row in stored} <= deleted
        assert stored
        gone = one(session, "SELECT SUM(vanished) AS n FROM st_ops.chunks WHERE kind = 'whole'")
        assert gone["n"] > 0  # a campaign or material that the list no longer has

        run_id = await daily_sync()
        rows = session.manifest.completeness(run_id, REGISTRY.values())
        assert [row for row in rows if row.changed or row.vanished] == []


@server
async def test_what_was_edited_while_the_backfill_ran_is_caught_up(tmp_path: Path) -> None:
    """The edit comes after the window with the old record has been read."""
    company = generate_company(seed=7, scale=0.01)
    with Tenant(company) as tenant:
        lived = False

        def live_meanwhile(path: str, query: str) -> None:
            nonlocal lived
            if not lived and "export/" in path:  # every window is read: the catch-up begins
                lived = True
                tenant.live(150)

        tenant.before = live_meanwhile
        file = f"duckdb:///{tmp_path}/kpi.duckdb"
        async with open_session(tenant_settings(tenant.url, warehouse=file)) as session:
            await backfill(MOVING)
            assert lived
            await daily_sync()
            await source.assert_equal(session.warehouse, company, tmp_path, MOVING)


@server
async def test_a_feed_that_hides_rows_is_found_out_by_the_sweep(
    loaded: Loaded, tmp_path: Path
) -> None:
    async with loaded("feed-hides-rows=0.5@export/invoices", entities=MOVING) as (
        tenant,
        session,
    ):
        tenant.live(200)
        await daily_sync(["invoices"])
        tenant.live(2, seed=2)  # a day later, what the feed had left out is old
        run_id = await daily_sync(["invoices"], sweep=True)
        (row,) = session.manifest.completeness(run_id, [REGISTRY["invoices"]])
        assert row.missed > 0
        run_id = await daily_sync()
        await source.assert_equal(session.warehouse, tenant.company, tmp_path, MOVING)


@server
async def test_the_weekly_sweep_comes_by_itself(loaded: Loaded) -> None:
    async with loaded(entities=["returns", "payrolls", "job_types"]) as (tenant, session):
        sweeps = "SELECT COUNT(*) AS n FROM st_ops.chunks WHERE kind = 'sweep'"
        for day in range(9):
            tenant.live(2, seed=day)
            await daily_sync()
            assert one(session, sweeps)["n"] == (0 if day < 6 else 2)
        counted = (
            "SELECT MAX(counted_at) AS at FROM st_ops.outside_history WHERE entity = 'returns'"
        )
        counted_first = one(session, counted)["at"]
        await daily_sync(["returns"], sweep=True)
        assert one(session, counted)["at"] > counted_first


ROUGH = [
    *("feed-empty-page=0.5", "feed-repeats-last-row", "feed-unsorted", "feed-duplicates=0.3"),
    *("token-dies=0.1", "rate-limit=0.05", "server-error=0.05", "bad-gateway=0.05"),
    *("cut-connection=0.05", "truncated-json=0.05", "odd-timestamps", "odd-names#surrogate"),
]


@server
@pytest.mark.parametrize(
    "faults",
    [ROUGH, ["feed-ends-in-null"], ["row-removed=0.3", "row-inserted=0.3"]],
    ids=["everything-at-once", "no-token-at-the-end", "rows-that-move"],
)
async def test_a_rough_source_loses_nothing(
    loaded: Loaded, tmp_path: Path, faults: list[str]
) -> None:
    async with loaded(*faults, entities=MOVING) as (tenant, session):
        for day in range(2):
            tenant.live(150, seed=day)
            await daily_sync()
        tenant.misbehave()
        await daily_sync(sweep=True)  # what moved behind the reader on the last day
        await source.assert_equal(session.warehouse, tenant.company, tmp_path, MOVING)


@server
async def test_watermarks_go_on_from_the_token_and_are_kept_in_a_block(loaded: Loaded) -> None:
    async with loaded(entities=["invoices", "payrolls"]) as (tenant, session):
        first = session.watermarks.read()["invoices"]
        assert first.token
        tenant.live(100)
        asked: list[str] = []
        tenant.before = lambda path, query: asked.append(f"{path}?{query}")
        run_id = await daily_sync()
        (feed, *_) = [url for url in asked if "export/invoices" in url]
        assert feed.endswith(first.token)
        (modified,) = [
            u for u in asked if "payrolls" in u and "modified" in u and "pageSize=5000" in u
        ]
        assert "created" not in modified
        assert "sort=%2BId" in modified
        for name in ("invoices", "payrolls"):
            mark = session.watermarks.read()[name]
            block = await EntityWatermark.aload(block_name(session.tenant_id, name))
            assert (block.token, block.modified_on, block.known_until, block.run_id) == (
                mark.token,
                mark.modified_on,
                mark.known_until,
                run_id,
            )


NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("block", "wins"),
    [
        (None, "warehouse"),
        (Watermark("w", NOON, NOON), "warehouse"),
        (Watermark("b", NOON, NOON + timedelta(hours=1)), "warehouse"),
        (Watermark("b", NOON, NOON - timedelta(hours=1)), "block"),
        (Watermark("b", None, None), "block"),
    ],
    ids=[
        "no-block-as-after-a-lost-prefect-database",
        "both-the-same",
        "the-warehouse-is-a-restored-backup",
        "prefect-is-a-restored-backup",
        "a-block-that-knows-nothing",
    ],
)
def test_of_two_watermarks_the_earlier_one_wins(
    block: Watermark | None, wins: str, caplog: pytest.LogCaptureFixture
) -> None:
    known = Watermark("w", NOON, NOON)
    from_block = block and replace(block, token=None)
    assert earlier("jobs", known, block) == {"warehouse": known, "block": from_block}[wins]
    disagree = block is not None and block.token != "w"
    assert ("reading from the earlier one" in caplog.text) == disagree


@server
async def test_a_lost_warehouse_is_filled_again_and_ignores_the_blocks(
    loaded: Loaded, tmp_path: Path
) -> None:
    """The blocks are ahead of a warehouse that has to begin anew."""
    async with loaded(entities=MOVING) as (tenant, session):
        tenant.live(150)
        await daily_sync()
        file = f"duckdb:///{tmp_path}/second.duckdb"
        async with open_session(tenant_settings(tenant.url, warehouse=file)) as second:
            with pytest.raises(NothingLoaded, match="st-kpi backfill"):
                await daily_sync()
            await backfill(MOVING)
            tenant.live(100, seed=9)
            await daily_sync()
            await source.assert_equal(second.warehouse, tenant.company, tmp_path, MOVING)
        # The first one was not told of the second one's syncs, whose blocks are ahead of it.
        await daily_sync()
        await source.assert_equal(session.warehouse, tenant.company, tmp_path, MOVING)


@server
async def test_a_token_that_is_no_longer_taken_is_replaced_by_a_day(loaded: Loaded) -> None:
    async with loaded(entities=["invoices"]) as (tenant, session):
        session.warehouse.execute("UPDATE st_ops.watermarks SET token = 'x' WHERE TRUE")
        tenant.live(100)
        await daily_sync()
        assert session.watermarks.read()["invoices"].token != "x"
        newest = max(row.modified or 0 for row in tenant.company.invoices)
        assert newest
        (row,) = session.warehouse.query("SELECT COUNT(*) AS n FROM st_raw.invoices")
        assert row["n"] == len(tenant.company.invoices)


@server
async def test_an_entity_that_was_never_loaded_says_so(loaded: Loaded) -> None:
    async with loaded(entities=["returns"]) as _:
        with pytest.raises(
            NothingLoaded, match=r"jobs is not loaded yet: run `st-kpi backfill --entity jobs`"
        ):
            await daily_sync(["jobs", "returns"])
        await daily_sync()  # only what is loaded


@server
async def test_an_unavailable_entity_fails_the_run_unless_it_is_optional(
    loaded: Loaded, tmp_path: Path
) -> None:
    async with loaded(entities=["returns", "payrolls"]) as (tenant, session):
        tenant.misbehave("forbidden@/payrolls")
        tenant.live(100)
        with pytest.raises(RunFailed, match=r"payrolls.*403"):
            await daily_sync()
        rows = session.warehouse.query(
            "SELECT entity FROM st_ops.chunks WHERE kind IN ('feed', 'modified') AND started_at >"
            " (SELECT MAX(started_at) FROM st_ops.runs)"
        )
        assert {row["entity"] for row in rows} == {"returns"}
    settings = tenant_settings(
        tenant.url, warehouse=f"duckdb:///{tmp_path}/kpi.duckdb", optional_entities={"payrolls"}
    )
    with Tenant(tenant.company, "missing-endpoint@/payrolls") as again:
        async with open_session(
            settings.model_copy(update={"api_url": again.url, "auth_url": again.url})
        ):
            await daily_sync()
            await backfill(["returns", "payrolls"])


@server
async def test_refused_rows_keep_failing_the_run_until_they_come_right(loaded: Loaded) -> None:
    async with loaded(entities=["invoices"]) as (tenant, _session):
        tenant.misbehave("number-as-word=0.5@export/invoices#subTotal")
        tenant.live(200)
        with pytest.raises(RunFailed, match=r"invoices: \d+ rows refused, for example id \d+"):
            await daily_sync()
        tenant.misbehave()
        # The feed is past them: nothing brings them again, and the run must not call itself complete.
        with pytest.raises(RunFailed, match=r"invoices: \d+ rows refused"):
            await daily_sync()
        await daily_sync(sweep=True)
        await daily_sync()


@server
async def test_refused_rows_within_the_tolerance_do_not_fail_the_run(tmp_path: Path) -> None:
    with Tenant(
        generate_company(seed=7, scale=0.01), "number-as-word=0.01@accounting/invoices#subTotal"
    ) as tenant:
        file = f"duckdb:///{tmp_path}/kpi.duckdb"
        settings = tenant_settings(tenant.url, warehouse=file, tolerated_rejects=100)
        async with open_session(settings) as session:
            run_id = await backfill(["invoices"])
            assert one(session, "SELECT COUNT(*) AS n FROM st_ops.rejects")["n"] > 0
        async with get_client() as client:
            run = await client.read_flow_run(UUID(run_id))
        assert (run.name, run.state.name, run.tags) == (
            "backfill invoices",
            "Completed",
            ["warnings"],
        )
        assert re.search(r" of 1 entity\.", run.state.message)
        strict = settings.model_copy(update={"tolerated_rejects": 0})
        async with open_session(strict):
            with pytest.raises(RunFailed, match="rows refused"):
                await daily_sync()


@server
async def test_an_emptied_source_changes_nothing(loaded: Loaded) -> None:
    async with loaded(entities=["materials", "campaigns"]) as (tenant, session):
        tenant.company.materials.clear()
        tenant.company.touch()
        with pytest.raises(
            RunFailed, match=r"materials: the source now says it has no rows, and 400"
        ):
            await daily_sync()
        assert one(session, "SELECT COUNTIF(active) AS n FROM st_raw.materials")["n"] > 300


@server
async def test_what_vanished_and_comes_back_counts_again(loaded: Loaded) -> None:
    async with loaded(entities=["campaigns"]) as (tenant, session):
        live = "SELECT COUNTIF(active) AS n FROM st_raw.campaigns"
        before = one(session, live)["n"]
        gone = tenant.company.campaigns.pop(0)
        tenant.company.now += SECOND  # its clock tells no more, and stands while nobody lives there
        tenant.company.touch()
        await daily_sync()
        assert one(session, live)["n"] == before - 1
        tenant.company.campaigns.append(gone)
        tenant.company.touch()
        await daily_sync()
        assert one(session, live)["n"] == before


@server
async def test_repair_fetches_exactly_the_days_that_differ(loaded: Loaded, tmp_path: Path) -> None:
    async with loaded(entities=MOVING) as (tenant, session):
        assert await repair_gap("invoices") == 0
        session.warehouse.execute(
            "DELETE FROM st_raw.invoices WHERE created_on >= TIMESTAMP '2023-05-10 07:00:00+00'"
            " AND created_on < TIMESTAMP '2023-05-11 07:00:00+00'"
        )
        session.warehouse.execute("DELETE FROM st_raw.materials WHERE id = 40001")
        assert await repair_gap("invoices") == 1
        assert await repair_gap("materials") == 1
        newest = one(
            session,
            "SELECT window_start, window_end FROM st_ops.chunks WHERE entity = 'invoices'"
            " ORDER BY finished_at DESC LIMIT 1",
        )
        assert newest == {
            "window_start": datetime(2023, 5, 10, 7, tzinfo=UTC),
            "window_end": datetime(2023, 5, 11, 7, tzinfo=UTC),
        }
        for name in MOVING:
            assert await repair_gap(name) == 0, name
        await source.assert_equal(session.warehouse, tenant.company, tmp_path, MOVING)


@server
async def test_repair_finds_what_the_source_no_longer_has(loaded: Loaded) -> None:
    """Deleted for good, without a word in the feed."""
    async with loaded(entities=["customers"]) as (tenant, session):
        del tenant.company.customers[10]
        tenant.company.touch()
        await daily_sync()
        assert await repair_gap("customers") == 1
        assert await repair_gap("customers") == 0
        rows = one(session, "SELECT COUNTIF(_content_hash = 'vanished') AS n FROM st_raw.customers")
        assert rows["n"] == 1


@server
async def test_drift_is_kept_once_with_first_and_last_sight(loaded: Loaded) -> None:
    async with loaded("unknown-field", entities=["returns"]) as (tenant, session):
        drift = "SELECT field, first_seen_at, last_seen_at FROM st_ops.schema_drift"
        tenant.live(200)
        await daily_sync(sweep=True)
        first = one(session, drift)
        await daily_sync(sweep=True)
        second = one(session, drift)
        assert second["field"] == first["field"]
        assert second["first_seen_at"] == first["first_seen_at"]
        assert second["last_seen_at"] > first["last_seen_at"]


@server
async def test_pay_is_replaced_by_the_days_that_the_feed_names(loaded: Loaded) -> None:
    """A correction of a line from long ago, one that disappears, and one that is new."""
    async with loaded(entities=["gross_pay_items"]) as (tenant, session):
        lines = tenant.company.gross_pay_items
        old = min(
            (line for line in lines if line.active and line.id is None), key=lambda row: row.created
        )
        now = tenant.company.now + 10_000_000
        old.amount_cents, old.modified = old.amount_cents + 1_00, now
        dead = next(line for line in lines if line.active and line is not old)
        dead.active, dead.modified = False, now
        lines.append(replace(dead, active=True, created=now, modified=now, row=len(lines)))
        tenant.company.now = now + 10_000_000
        tenant.company.touch()
        await daily_sync()
        await _pay_equals(session, tenant)
        kinds = session.warehouse.query("SELECT DISTINCT kind FROM st_ops.chunks ORDER BY kind")
        assert [row["kind"] for row in kinds] == [ReadMode.AGAIN, ReadMode.CREATED, ReadMode.FEED]


async def _pay_equals(session: Session, tenant: Tenant) -> None:
    stored = one(session, "SELECT COUNT(*) AS n, SUM(amount) AS amount FROM st_raw.gross_pay_items")
    listed = [line for line in tenant.company.gross_pay_items if line.active]
    assert stored["n"] == len(listed)
    assert stored["amount"] * 100 == sum(line.amount_cents for line in listed)


@server
async def test_a_row_that_is_gone_from_the_warehouse_is_a_gap(loaded: Loaded) -> None:
    """Found where it is, by counts of what was loaded; nothing is where both sides agree."""
    async with loaded(entities=["invoices"]) as (_, session):
        invoices, now = REGISTRY["invoices"], await source_time(session)
        assert await gap_in_history(session, invoices, now) is None
        gone = one(session, "SELECT id, created_on FROM st_raw.invoices ORDER BY id LIMIT 1")
        session.warehouse.execute("DELETE FROM st_raw.invoices WHERE id = @id", {"id": gone["id"]})
        day = gone["created_on"].astimezone(session.settings.zone).date()
        gap = await gap_in_history(session, invoices, now)
        assert gap is not None
        assert (gap.entity.name, gap.first, gap.last) == ("invoices", day, day)
        assert gap.promised == gap.stored + 1
