"""How runs are recorded, on a real Prefect server: what failed says so, and nobody takes it for killed."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.backfill import backfill
from flows.daily_sync import daily_sync
from flows.repair_gap import repair_gap
from st_kpi.cli.demo import sandbox
from st_kpi.errors import DiskFull, EntityUnavailable
from st_kpi.ingest import status
from st_kpi.ingest.session import Session, open_session
from st_kpi.sandbox import Company
from st_kpi.warehouse import open_warehouse
from tests.conftest import tenant_settings
from tests.support.killing import Ordeal
from tests.support.tenant import Tenant

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def tenant(company: Company) -> Iterator[Tenant]:
    with Tenant(company) as served:
        yield served


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flows that free limits which a killed run may hold."""
    freed: list[str] = []
    for flow in ("backfill", "daily_sync"):

        async def release(flow: str = flow) -> None:
            freed.append(flow)

        monkeypatch.setattr(f"flows.{flow}.release_limits", release)
    return freed


def runs(session: Session) -> list[dict[str, Any]]:
    return session.warehouse.query(
        "SELECT flow, status, detail, finished_at IS NOT NULL AS finished FROM st_ops.runs"
        " ORDER BY started_at"
    )


async def test_a_sync_that_the_tenant_does_not_answer_is_recorded_as_failed(
    tenant: Tenant, tmp_path: Path, releases: list[str]
) -> None:
    """The source's clock is asked for after the run has begun; the next run finds nothing to clean up."""
    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    async with open_session(settings) as session:
        await backfill(["returns"])
        tenant.refuse = {"business-units"}
        with pytest.raises(EntityUnavailable) as failure:
            await daily_sync()
        last = status.read(session.warehouse, settings).last_run
        assert last is not None
        assert (last.flow, last.status, last.detail) == ("daily-sync", "failed", str(failure.value))
        assert last.finished_at is not None
        tenant.refuse = set()
        await daily_sync()
        assert [(run["flow"], run["status"], run["detail"]) for run in runs(session)] == [
            ("backfill", "completed", ""),
            ("daily-sync", "failed", str(failure.value)),
            ("daily-sync", "completed", ""),
        ]
    assert releases == []


async def test_a_backfill_and_a_repair_that_break_off_are_recorded_as_failed(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has no room left, and one that stumbles over what nobody foresaw."""

    async def no_room(*_: object) -> object:
        return DiskFull("The disk is full.")

    async def stumble(*_: object) -> object:
        raise KeyError("surprise")

    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    async with open_session(settings) as session:
        monkeypatch.setattr("flows.backfill.run_here", no_room)
        with pytest.raises(DiskFull):
            await backfill(["returns"])
        monkeypatch.setattr("flows.repair_gap.find_gaps", stumble)
        with pytest.raises(KeyError):
            await repair_gap("returns")
        assert runs(session) == [
            {"flow": flow, "status": "failed", "detail": detail, "finished": True}
            for flow, detail in (
                ("backfill", "The disk is full."),
                ("repair-gap", "KeyError: 'surprise'"),
            )
        ]


async def test_what_a_killed_run_may_hold_is_freed(
    tenant: Tenant, tmp_path: Path, releases: list[str]
) -> None:
    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    async with open_session(settings) as session:
        await backfill(["returns"])
        # What a run leaves behind that ends without a word.
        session.warehouse.execute(
            "UPDATE st_ops.runs SET status = 'running', detail = NULL, finished_at = NULL WHERE TRUE"
        )
        await daily_sync()
        assert releases == ["daily_sync"]  # it may be at work, for all a run of another flow knows
        await backfill(["returns"])
        assert releases == ["daily_sync", "backfill"]
        assert [(run["flow"], run["status"], run["detail"]) for run in runs(session)] == [
            ("backfill", "failed", "The run was killed."),
            ("daily-sync", "completed", ""),
            ("backfill", "completed", ""),
        ]


def test_a_stopped_command_records_its_run_and_holds_no_limit(
    prefect_server: str, tmp_path: Path
) -> None:
    """So the next one finds nothing to clean up."""
    with sandbox(0.004, 7) as tenant:
        ordeal = Ordeal(tenant.url, prefect_server, tmp_path, seed=3)
        with ordeal.working() as process:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    with open_warehouse(f"duckdb:///{ordeal.file}", read_only=True) as warehouse:
        rows = warehouse.query("SELECT flow, status, detail FROM st_ops.runs")
    assert [tuple(row.values()) for row in rows] == [("backfill", "failed", "The run was stopped.")]
    assert asyncio.run(_slots_in_use()) == 0


async def _slots_in_use() -> int:
    """How many slots somebody holds; what was spent of a rate limit comes back by itself, some time after."""
    async with get_client() as client:
        limits = await client.read_global_concurrency_limits(limit=50, offset=0)
    return sum(limit.active_slots for limit in limits if not limit.slot_decay_per_second)
