"""The flows on a real Prefect server, against the sandbox tenant on a real socket."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)

from flows.backfill import backfill
from flows.refresh_kpis import refresh_kpis
from st_kpi.cli.demo import compare
from st_kpi.errors import ConfigurationError, NothingLoaded, RunFailed
from st_kpi.ingest.manifest import ReadMode
from st_kpi.ingest.session import Session, open_for_build, open_session
from st_kpi.reporting import published
from st_kpi.sandbox import Company, generate_company
from st_kpi.servicetitan.registry import REGISTRY
from tasks.watermarks import EntityWatermark, block_name
from tests.conftest import tenant_settings
from tests.flows.conftest import FirstLoad, Loaded
from tests.support.tenant import Tenant

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def tenant(company: Company) -> Iterator[Tenant]:
    with Tenant(company) as served:
        yield served


async def test_from_nothing_to_numbers_that_equal_the_books(
    first_load: FirstLoad, loaded: Loaded, tmp_path: Path
) -> None:
    assert first_load.promised == first_load.stored > 15_000
    async with loaded(report_path=str(tmp_path)) as (tenant, session):
        built = await refresh_kpis(tenant.company.last_day)
        assert "Weekly review" in (tmp_path / "weekly-review.html").read_text(encoding="utf-8")
        sentence = compare(session.warehouse, tenant.books())  # type: ignore[arg-type]
        assert "equal to the cent" in sentence
        assert all(check.passed for check in built.checks if check.severity == "fail")

        assert _cells_that_are_not_the_sum_of_their_rows(session) == 0

        again = await backfill()
        rows = session.manifest.completeness(again, REGISTRY.values())
        assert [row.entity for row in rows if row.changed] == []
        runs = session.warehouse.query("SELECT flow, status FROM st_ops.runs ORDER BY started_at")
        assert runs == [{"flow": "backfill", "status": "completed"}] * 2

    block = await EntityWatermark.aload(block_name(session.tenant_id, "invoices"))
    newest = max(invoice.modified or 0 for invoice in tenant.company.invoices)
    assert block.run_id == again
    assert block.modified_on is not None
    assert newest > 0
    await _dashboard_shows(first_load.run_id)


def _cells_that_are_not_the_sum_of_their_rows(session: Session) -> object:
    """Weekly cells against contributions, both ways."""
    return session.warehouse.query(
        "WITH summed AS ("
        " SELECT c.kpi, DATE_TRUNC(c.on_date, WEEK(MONDAY)) AS week_start,"
        "  COALESCE(r.`rollup`, '(unassigned)') AS rollup_name,"
        "  SUM(IF(c.part = 'denominator', 0, c.amount)) AS numerator,"
        "  SUM(IF(c.part = 'denominator', c.amount, 0)) AS denominator"
        " FROM st_kpi.contributions AS c LEFT JOIN st_ref.dim_bu_rollup AS r"
        "  ON r.business_unit_id = c.business_unit_id AND c.on_date BETWEEN r.valid_from AND r.valid_to"
        " GROUP BY c.kpi, week_start, rollup_name)"
        " SELECT COUNT(*) AS n FROM summed AS s FULL JOIN st_kpi.kpi_weekly AS w"
        " ON w.kpi = s.kpi AND w.week_start = s.week_start AND w.`rollup` = s.rollup_name"
        " WHERE COALESCE(s.numerator, -1) <> COALESCE(w.numerator, -1)"
        " OR COALESCE(s.denominator, 0) <> COALESCE(w.denominator, 0)"
    )[0]["n"]


async def _dashboard_shows(run_id: str) -> None:
    """The run names, tags' limits and artifacts that a person looks for."""
    async with get_client() as client:
        below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
        names = {run.name for run in await client.read_flow_runs(flow_run_filter=below)}
        today = max(name.rsplit("..", 1)[1] for name in names if ".." in name)
        assert {"chunk business_units", f"chunk invoices 2020-01-01..{today}"} <= names
        run = await client.read_flow_run(UUID(run_id))
        assert (run.name, run.tags) == ("backfill everything", [])
        assert re.fullmatch(
            r"[\d,]+ rows stored in \d+ chunks of 22 entities\..*", run.state.message
        )
        for tag in ("servicetitan-api", "warehouse-write"):
            limit = await client.read_concurrency_limit_by_tag(tag)
            assert limit.concurrency_limit > 0
        for key in (
            "completeness",
            "backfill-progress",
            "weekly-kpis",
            "weekly-kpis-phx",
            "weekly-review",
        ):
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            found = await client.read_artifacts(artifact_filter=wanted)
            assert found, key
            if key == "completeness":
                assert [row["entity"] for row in json.loads(found[-1].data)] == list(REGISTRY)
            if key.startswith("weekly-kpis"):
                titles = [row["KPI"] for row in json.loads(found[-1].data)]
                assert titles[:3] == ["Leads", "Total Booked", "$ Produced"]


async def test_one_entity_that_fails_does_not_stop_the_others(
    tenant: Tenant, tmp_path: Path
) -> None:
    tenant.refuse = {"/payrolls"}
    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    async with open_session(settings) as session:
        with pytest.raises(RunFailed, match=r"payrolls.*404"):
            await backfill(["payrolls", "returns", "job_types"])
        rows = session.warehouse.query("SELECT DISTINCT entity FROM st_ops.chunks ORDER BY entity")
        assert [row["entity"] for row in rows] == ["job_types", "returns"]
        (run,) = session.warehouse.query("SELECT status, detail FROM st_ops.runs")
        assert run["status"] == "failed"
        assert "payrolls" in run["detail"]
        tenant.refuse = set()
        await backfill(["payrolls", "returns"])
        assert REGISTRY["payrolls"].name in {
            row["entity"] for row in session.warehouse.query("SELECT entity FROM st_ops.chunks")
        }


async def test_no_subflow_is_left_running(tenant: Tenant, tmp_path: Path) -> None:
    tenant.refuse = {"/returns"}
    settings = tenant_settings(
        tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb", chunk_rows=1000
    )
    async with open_session(settings) as session:
        with pytest.raises(RunFailed):
            await backfill(["customers", "returns", "locations"])
        (run,) = session.warehouse.query("SELECT run_id FROM st_ops.runs")
    async with get_client() as client:
        below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run["run_id"]]))
        runs = await client.read_flow_runs(flow_run_filter=below)
    assert {run.state_name for run in runs} == {"Completed"}
    assert len(runs) == 3  # two chunks and the catch-up


async def test_a_chunk_that_moves_is_read_again(tmp_path: Path) -> None:
    """A record appears in the window right after its pages were read; the second try finds it."""
    company = generate_company(seed=7, scale=0.01)
    pages = 0

    def add_one_behind_the_reader(path: str, query: str) -> None:
        nonlocal pages
        if not path.endswith("/returns"):
            return
        if pages == 1:
            new = replace(company.returns[0], id=max(row.id for row in company.returns) + 1)
            company.returns.append(new)
            company.touch()
        pages += "pageSize=500" in query

    with Tenant(company) as tenant:
        tenant.before = add_one_behind_the_reader
        settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
        async with open_session(settings) as session:
            run_id = await backfill(["returns"])
            (row,) = session.manifest.completeness(
                run_id, [REGISTRY["returns"]], [ReadMode.CREATED]
            )
    assert pages == 2
    assert row.fetched == row.stored == len(company.returns)


async def test_building_before_loading_says_what_to_do(tenant: Tenant, tmp_path: Path) -> None:
    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    with pytest.raises(NothingLoaded, match="st-kpi backfill"), open_for_build(settings):
        pass
    assert not (tmp_path / "a.duckdb").exists()
    async with open_session(settings) as session:
        await backfill(["job_types", "business_units"])
        with pytest.raises(NothingLoaded, match="st-kpi backfill"):
            await refresh_kpis()
        with pytest.raises(NothingLoaded, match="st-kpi build"):
            published.read(session.warehouse)


async def test_an_empty_tenant_is_not_sent_to_load_it_again(tmp_path: Path) -> None:
    with Tenant(Company()) as tenant:
        file = f"duckdb:///{tmp_path}/a.duckdb"
        settings = tenant_settings(tenant.url, warehouse=file, history_start="2025-10-01")
        async with open_session(settings) as session:
            await backfill(["job_types", "business_units", "jobs"])
            with pytest.raises(NothingLoaded) as of_build:
                await refresh_kpis()
            with pytest.raises(NothingLoaded) as of_reading:
                published.read(session.warehouse)
    said = "There is nothing to count: ServiceTitan has no business units, no job types, no jobs for this tenant, asked on 2025-10-21"
    for error in (of_build, of_reading):
        assert said in str(error.value)
        assert "backfill" not in str(error.value)


async def test_wrong_days_and_entities_stop_before_anything_runs(
    tenant: Tenant, tmp_path: Path
) -> None:
    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    async with open_session(settings) as session:
        with pytest.raises(ConfigurationError, match="is after the last day"):
            await backfill(None, date(2025, 2, 1), date(2025, 1, 1))
        with pytest.raises(ConfigurationError, match="no entity 'job'"):
            await backfill(["job"])
        with pytest.raises(ConfigurationError, match=r"fan_out=workers.*a\.duckdb is a file"):
            await backfill(fan_out="workers")
        assert session.warehouse.query("SELECT run_id FROM st_ops.runs") == []
