"""How runs are recorded, on a real Prefect server: what failed says so, and nobody takes it for killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.backfill import backfill
from flows.daily_sync import daily_sync
from flows.repair_gap import repair_gap
from st_kpi.errors import DiskFull, EntityUnavailable
from st_kpi.ingest import status
from st_kpi.ingest.session import Session, open_session
from st_kpi.sandbox import Company
from tests.conftest import tenant_settings
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
        with monkeypatch.context() as full, pytest.raises(DiskFull):
            full.setattr("flows.backfill.run_here", no_room)
            await backfill(["returns"])
        with monkeypatch.context() as broken, pytest.raises(KeyError):
            broken.setattr("flows.repair_gap.find_gaps", stumble)
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
