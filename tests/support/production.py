"""Production on one machine as ``scripts/up`` makes it: a Prefect server on Postgres, deployments, a worker."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.local.postgres import install
from st_kpi.local.private_server import free_port
from st_kpi.sandbox.company import SandboxCredentials

UP = Path(__file__).parents[2] / "scripts" / "up"

#: No step of it may take longer, even on a busy machine.
WITHIN = 180.0


T = TypeVar("T")


class Production:
    """The API of a server to which everything is deployed; asks it and runs commands against it."""

    def __init__(self, api: str, environment: dict[str, str]) -> None:
        self.api = api
        self.environment = environment

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = httpx.post(f"{self.api}{path}", json=body or {}, timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.api}{path}", timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def run(self, *command: str) -> str:
        """A command of the environment, such as ``prefect deployment run``; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WITHIN,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a deployment as a person would in a second terminal; returns the run's id."""
        given = [f"-p{name}={json.dumps(value)}" for name, value in parameters.items()]
        said = self.run("prefect", "deployment", "run", deployment, *given)
        (found,) = [line.split()[-1] for line in said.splitlines() if "UUID:" in line]
        return str(UUID(found))

    def flow_runs(self, flow: str) -> list[dict[str, Any]]:
        """The runs of a flow, oldest first."""
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", body)
        return found

    def run_of(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/flow_runs/{run_id}")
        return found

    def ended(self, run_id: str, within: float = WITHIN) -> dict[str, Any]:
        """The run once it has ended."""
        return until(lambda: _if_ended(self.run_of(run_id)), within)

    def began(self, run_id: str) -> dict[str, Any]:
        """The run once it is at work."""
        return until(lambda: _if_in(self.run_of(run_id), "RUNNING"))

    def events(
        self, name: str, since: datetime, resource: str | None = None
    ) -> list[dict[str, Any]]:
        """The events of a name, about one resource or any, oldest first."""
        wanted: dict[str, Any] = {
            "occurred": {"since": since.isoformat(), "until": "2100-01-01T00:00:00Z"},
            "event": {"name": [name]},
            "order": "ASC",
        }
        if resource:
            wanted["resource"] = {"id": [resource]}
        body = {"filter": wanted}
        found: list[dict[str, Any]] = self.post("/events/filter", body)["events"]
        return found


def _if_ended(run: dict[str, Any]) -> dict[str, Any] | None:
    return _if_in(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def _if_in(run: dict[str, Any], *states: str) -> dict[str, Any] | None:
    return run if run["state_type"] in states else None


def until(look: Callable[[], T | None], within: float = WITHIN) -> T:
    """What ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"Nothing for {within:.0f} seconds.")


@contextmanager
def brought_up(tenant_url: str, folder: Path) -> Iterator[Production]:
    """``scripts/up`` for the sandbox tenant at ``tenant_url``, everything it keeps being in ``folder``, until Ctrl-C."""
    with (
        settings_for(tenant_url, folder, free_port()) as made,
        up_process(made, folder) as (process, log),
    ):
        until(lambda: "Ready." in log.read_text() or process.poll())
        assert process.poll() is None, log.read_text()
        yield made
        process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN) == 130, log.read_text()
    assert "leaked" not in log.read_text()  # by DuckDB's binding, at the end of a run's process


@contextmanager
def up_process(made: Production, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """``scripts/up`` and the file with what it says; interrupted when the block leaves it running."""
    port = str(urlsplit(made.api).port)
    more = {"ST_KPI_STATE": str(folder / "state"), "PREFECT_SERVER_API_PORT": port}
    environment = made.environment | more
    del environment["PREFECT_API_URL"]
    log = folder / f"up-{uuid4()}.log"
    with open(log, "wb") as written:
        process = subprocess.Popen([UP], env=environment, stdout=written, stderr=written)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(WITHIN)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the user ``postgres`` can reach, which pytest's own are not; skips where there is no Postgres."""
    try:
        install()
    except ConfigurationError as error:
        if "CI" in os.environ:  # nobody reads there what was skipped
            raise
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="st-kpi-production-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def settings_for(tenant_url: str, folder: Path, port: int) -> Iterator[Production]:
    """The environment of a person whose Prefect server is at ``port``, when it runs."""
    api = f"http://127.0.0.1:{port}/api"
    settings = {
        "ST_KPI_TENANT_ID": str(SandboxCredentials.TENANT_ID),
        "ST_KPI_CLIENT_ID": SandboxCredentials.CLIENT_ID,
        "ST_KPI_CLIENT_SECRET": SandboxCredentials.CLIENT_SECRET,
        "ST_KPI_APP_KEY": SandboxCredentials.APP_KEY,
        "ST_KPI_API_URL": tenant_url,
        "ST_KPI_AUTH_URL": tenant_url,
        "ST_KPI_TIMEZONE": "America/Phoenix",
        "ST_KPI_WAREHOUSE": f"duckdb:///{folder}/kpi.duckdb",
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield Production(api, dict(os.environ))
