"""``scripts/up`` when it is killed, and when there are two of it."""

import os
import signal
import time
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.local import postgres, stack
from st_kpi.local.private_server import free_port
from st_kpi.sandbox import generate_company
from tests.support.production import (
    WITHIN,
    Production,
    brought_up,
    open_folder,
    settings_for,
    until,
    up_process,
)
from tests.support.tenant import Tenant

#: Longer than the server by itself would remember which runs it watched.
DOWN = 200.0


@pytest.mark.slow
def test_killed_with_a_run_at_work_and_brought_up_again() -> None:
    """What the server knew is there again, the run is ended, and nothing of the first time is left at the end."""
    with Tenant(generate_company(seed=7, scale=0.004)) as tenant, open_folder() as folder:
        with (
            settings_for(tenant.url, folder, free_port()) as first,
            up_process(first, folder) as (process, log),
        ):
            until(lambda: "Ready." in log.read_text())
            done = first.start("backfill/manual", entities=["job_types"])
            assert first.ended(done)["state_type"] == "COMPLETED"
            _refuses_another(first, folder)
            tenant.before = lambda path, query: time.sleep(5)
            at_work = first.start("backfill/manual", entities=["jobs", "customers"])
            first.began(at_work)
            time.sleep(40)  # until it has said once that it is alive
            process.kill()
            process.wait()
        tenant.before = lambda path, query: None
        note = folder / "state/postgres/postmaster.pid"
        assert note.exists()
        time.sleep(DOWN)
        with brought_up(tenant.url, folder) as again:
            assert again.run_of(done)["state_type"] == "COMPLETED"
            assert len(again.post("/deployments/filter")) == 6
            ended = again.ended(at_work)
            assert ended["state_type"] == "CRASHED"
            assert "fell silent" in ended["state"]["message"]
            goes_on = again.start("backfill/manual", entities=["jobs", "customers"])
            assert again.ended(goes_on)["state_type"] == "COMPLETED"
        assert not note.exists()


def _refuses_another(running: Production, folder: Path) -> None:
    elsewhere = Production(f"http://127.0.0.1:{free_port()}/api", running.environment)
    with up_process(elsewhere, folder) as (process, log):
        assert process.wait(WITHIN) == 2
        assert "Another scripts/up is at work" in log.read_text()


def test_on_windows_the_database_has_to_be_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        with pytest.raises(ConfigurationError, match="On Windows scripts/up starts no Postgres"):
            postgres.install()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "ended by itself with 1; its last words are above."),
        (-signal.SIGKILL, "was killed, as the system does where memory runs out"),
        (-signal.SIGSEGV, "was ended by SIGSEGV."),
    ],
)
def test_a_worker_that_ended_says_how(code: int, said: str) -> None:
    assert stack.how_it_ended(code).startswith(said)


def test_an_api_that_does_not_answer_is_not_said_to() -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(RunFailed, match="does not answer"),
        stack.api(),
    ):
        pass
