"""The flow ``reconcile`` on a real server: each report is asked for once, what was found is kept, shown and told."""

import asyncio
import time
from datetime import date

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.reconcile import reconcile
from flows.refresh_kpis import refresh_kpis
from st_kpi.errors import ConfigurationError, ReportError, RunFailed
from st_kpi.reporting import published
from tasks import reports
from tests.flows.conftest import Loaded
from tests.support.reports import REPORTS

pytestmark = pytest.mark.usefixtures("prefect_server")

WEEK = date(2025, 9, 1)


@pytest.fixture(autouse=True)
def _reports_of_the_test_before_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tests ask for the same report, on one server: the second one would wait for its minute."""
    monkeypatch.setattr(reports, "SECONDS_PER_CALL", 0.5)


async def test_every_number_beside_its_report(loaded: Loaded) -> None:
    asked: list[str] = []
    async with loaded() as (tenant, session):
        tenant.before = lambda path, query: asked.append(path) if path.endswith("/data") else None
        await refresh_kpis(tenant.company.last_day)
        session.settings.reports.update(REPORTS)
        try:
            week = await reconcile(
                ["gpm", "produced", "warranty_pct", "success_rate", "estimates"], WEEK
            )
            assert len(asked) == 2  # three numbers are of one report, two of another
            snapshots = await reconcile(["future_bookings", "outstanding_ar"])
        finally:
            session.settings.reports.clear()
        assert [(r.kpi.name, r.agrees) for r in (*week, *snapshots)] == [
            ("produced", True),
            ("gpm", True),
            ("estimates", True),
            ("success_rate", True),
            ("warranty_pct", True),
            ("future_bookings", True),
            ("outstanding_ar", True),
        ]
        assert {r.period[0] for r in snapshots} == {date(2025, 10, 20), tenant.company.last_day}
        shown = published.read(session.warehouse, week=WEEK, rollup="All")
        assert {each.kpi for each in shown.reconciled} == {r.kpi.name for r in week}
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["reconciliations"]))
        (*_, artifact) = await client.read_artifacts(artifact_filter=wanted)
        assert "equal" not in str(artifact.data)
        assert "matched" in str(artifact.data)
        limits = await client.read_global_concurrency_limits()
        ours = f"servicetitan-{tenant.company.tenant_id}-report-"  # other tests leave some of other tenants
        assert sum(limit.name.startswith(ours) for limit in limits) == 4


async def test_one_report_that_is_gone_fails_the_run_and_keeps_the_rest(loaded: Loaded) -> None:
    async with loaded("report-gone@Leads") as (tenant, session):
        await refresh_kpis(tenant.company.last_day)
        with pytest.raises(ConfigurationError, match="No report is configured"):
            await reconcile()
        session.settings.reports.update(leads=REPORTS["leads"], collections=REPORTS["collections"])
        try:
            with pytest.raises(RunFailed, match="leads: There is no report called 'Leads'"):
                await reconcile(week=WEEK)
            with pytest.raises(ReportError, match="There is no report called 'Leads'"):
                await reconcile(["leads"], WEEK)
        finally:
            session.settings.reports.clear()
        kept = session.warehouse.query("SELECT kpi FROM st_ops.reconciliations")
        assert [row["kpi"] for row in kept] == ["collected"]


async def test_one_number_that_cannot_be_compared_keeps_the_others_of_its_report(
    loaded: Loaded,
) -> None:
    async with loaded("report-column-dropped#LaborPay") as (tenant, session):
        await refresh_kpis(tenant.company.last_day)
        session.settings.reports.update(job_costing=REPORTS["job_costing"])
        try:
            with pytest.raises(RunFailed, match=r"gpm: .* has no column labour_pay") as failure:
                await reconcile(["gpm", "produced"], WEEK)
        finally:
            session.settings.reports.clear()
        assert "produced" not in str(failure.value)
        kept = session.warehouse.query(
            "SELECT kpi, matched > 0 AS any_row FROM st_ops.reconciliations"
        )
        assert kept == [{"kpi": "produced", "any_row": True}]


async def test_the_next_call_for_a_report_waits_for_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "SECONDS_PER_CALL", 2.0)
    one, other = reports.report_turn(77), reports.report_turn(77)  # as two processes would
    began = time.monotonic()
    await one(1)
    await asyncio.gather(other(1), one(2))  # another report has a limit of its own
    assert time.monotonic() - began > 1.5
