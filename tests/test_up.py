"""``scripts/up`` when it is killed, and when there are two of it."""

from pathlib import Path

import pytest

from st_kpi.prefect_server import free_port
from st_kpi.sandbox import generate_company
from tests.production import (
    WITHIN,
    Production,
    bring_up,
    brought_up,
    open_folder,
    settings_for,
    until,
)
from tests.tenant import Tenant


@pytest.mark.slow
def test_killed_and_brought_up_again() -> None:
    """What the server knew is there again, and nothing of the first time is left at the end."""
    with Tenant(generate_company(seed=7, scale=0.004)) as tenant, open_folder() as folder:
        with settings_for(tenant.url, folder, free_port()) as first:
            process, log = bring_up(first, folder)
            until(lambda: "Ready." in log.read_text())
            run_id = first.start("backfill/manual", entities=["job_types"])
            assert first.ended(run_id)["state_type"] == "COMPLETED"
            _refuses_another(first, folder)
            process.kill()
            process.wait()
        note = folder / "state/postgres/postmaster.pid"
        assert note.exists()
        with brought_up(tenant.url, folder) as again:
            assert again.run_of(run_id)["state_type"] == "COMPLETED"
            assert len(again.post("/deployments/filter")) == 6
        assert not note.exists()


def _refuses_another(running: Production, folder: Path) -> None:
    elsewhere = Production(f"http://127.0.0.1:{free_port()}/api", running.environment)
    process, log = bring_up(elsewhere, folder)
    assert process.wait(WITHIN) == 2
    assert "Another scripts/up is at work" in log.read_text()
