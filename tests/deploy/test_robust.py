"""What goes wrong in production, with a real server on Postgres and real workers: minutes, so `scripts/test -m slow`."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from st_kpi.local import stack
from st_kpi.local.postgres import postgres
from st_kpi.local.private_server import free_port
from st_kpi.sandbox import generate_company
from st_kpi.warehouse import open_warehouse
from tests.support import source
from tests.support.bigquery_emulator import emptied
from tests.support.production import Production, open_folder, settings_for, until
from tests.support.tenant import Tenant

pytestmark = pytest.mark.slow

ENTITIES = ["jobs", "invoices", "payments", "customers", "estimates", "appointments"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as found:
        yield found


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    with Tenant(generate_company(seed=7, scale=0.01)) as served:
        yield served


class Server:
    """A Prefect server on Postgres that can be stopped and started again."""

    def __init__(self, database: str, port: int) -> None:
        self._database = database
        self.port = port
        self._running: Any = None

    def start(self) -> None:
        self._running = stack.server(self._database, self.port)
        self._running.__enter__()

    def stop(self) -> None:
        self._running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with postgres(folder / "state") as database:
        found = Server(database, free_port())
        found.start()
        yield found
        found.stop()


@pytest.fixture(scope="module")
def deployed(server: Server, tenant: Tenant, folder: Path) -> Iterator[Production]:
    with settings_for(tenant.url, folder, server.port) as made:
        stack.prepare()
        yield made


@pytest.fixture(autouse=True)
def _environment(deployed: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are started with the environment of the test, which is cleared of settings before each."""
    for name, value in deployed.environment.items():
        monkeypatch.setenv(name, value)


@contextmanager
def slowly(tenant: Tenant, seconds: float = 0.4) -> Iterator[None]:
    """Each answer of the tenant takes so long: a run that is still at work when something happens to it."""
    tenant.before = lambda path, query: time.sleep(seconds)
    try:
        yield
    finally:
        tenant.before = lambda path, query: None


def at_work(deployed: Production, tenant: Tenant) -> str:
    """A backfill that has begun to read; its id."""
    run_id = deployed.start("backfill/manual", entities=ENTITIES, start="2020-01-01")
    deployed.began(run_id)
    asked = threading.Event()
    slow = tenant.before

    def note(path: str, query: str) -> None:
        if "pageSize=5000" in query or "page=" in query:
            asked.set()
        slow(path, query)

    tenant.before = note
    assert asked.wait(120)
    return run_id


def finished(deployed: Production) -> dict[str, Any]:
    """A backfill to its end, undisturbed: what came before must not be in its way."""
    run = deployed.ended(deployed.start("backfill/manual", entities=ENTITIES, start="2020-01-01"))
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    return run


def taken(deployed: Production) -> str:
    """A run that a worker took and did not begin; its id."""
    run_id = deployed.start("daily-sync/intraday", entities=["payments"])
    pending = {"state": {"type": "PENDING", "name": "Pending"}}
    deployed.post(f"/flow_runs/{run_id}/set_state", pending)
    return run_id


def chunks_fetched_twice(deployed: Production) -> int:
    with open_warehouse(deployed.environment["ST_KPI_WAREHOUSE"], read_only=True) as warehouse:
        (row,) = warehouse.query(
            "SELECT COUNT(*) AS n FROM (SELECT entity FROM st_ops.chunks WHERE kind = 'created'"
            " GROUP BY entity, window_start, window_end HAVING COUNT(*) > 1) AS twice"
        )
    return int(row["n"])


def family(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_a_machine_is_lost_and_the_next_run_goes_on(deployed: Production, tenant: Tenant) -> None:
    """Worker and run are killed at once; nobody is left to say so, and the automation ends the run."""
    with stack.worker() as worker, slowly(tenant):
        run_id = at_work(deployed, tenant)
        for pid in family(worker.pid):
            os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    run = until(lambda: _in(deployed.run_of(run_id), "CRASHED"), within=300)
    print(f"ended after {time.monotonic() - began:.0f} s: {run['state']['message']}")
    assert "fell silent" in run["state"]["message"]
    with stack.worker():
        finished(deployed)
    assert chunks_fetched_twice(deployed) == 0


def test_the_server_restarts_in_mid_run(
    deployed: Production, tenant: Tenant, server: Server
) -> None:
    with stack.worker():
        with slowly(tenant):
            run_id = at_work(deployed, tenant)
            server.stop()
            time.sleep(5)
            server.start()
        run = deployed.ended(run_id)
        print(run["state"]["name"], run["state"]["message"])
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        finished(deployed)
    assert chunks_fetched_twice(deployed) == 0


def test_runs_that_are_due_at_once_run_one_after_another(deployed: Production) -> None:
    """Of one deployment and of several: the warehouse has one writer."""
    with stack.worker():
        finished(deployed)
    ids = [
        deployed.start(name, entities=["payments"])
        for name in ("daily-sync/daily", "daily-sync/intraday", "daily-sync/intraday")
    ]
    ids.append(deployed.start("repair-gap/on-gap", entity="payments", start="2025-01-01"))
    with stack.worker():
        runs = [deployed.ended(run_id) for run_id in ids]
    assert [run["state"]["message"] for run in runs if run["state_type"] != "COMPLETED"] == []
    times = sorted((run["start_time"], run["end_time"]) for run in runs)
    assert all(first[1] <= second[0] for first, second in pairwise(times))


def test_a_storm_of_one_deployment_is_one_run_after_another(
    deployed: Production, tenant: Tenant, tmp_path: Path
) -> None:
    """Started at the same moment, with two workers to take them: none is lost, and together they load what one does."""
    with stack.worker():
        finished(deployed)
    tenant.live(150)
    began = datetime.now(UTC)
    ids = at_once(deployed, "daily-sync/intraday", 6, entities=["payments"])
    with stack.worker(), stack.worker("another"):
        runs = [deployed.ended(run_id, within=600) for run_id in ids]
    assert [run["state"]["message"] for run in runs if run["state_type"] != "COMPLETED"] == []
    times = sorted((run["start_time"], run["end_time"]) for run in runs)
    assert all(first[1] <= second[0] for first, second in pairwise(times))
    with open_warehouse(deployed.environment["ST_KPI_WAREHOUSE"], read_only=True) as warehouse:
        asyncio.run(source.assert_equal(warehouse, tenant.company, tmp_path, ["payments"]))
        recorded = warehouse.query(
            "SELECT run.run_id, run.status, COUNTIF(chunk.changed > 0) AS changed"
            " FROM st_ops.runs AS run JOIN st_ops.chunks AS chunk ON chunk.run_id = run.run_id"
            " WHERE run.started_at >= @began AND run.flow = 'daily-sync' GROUP BY run.run_id, run.status",
            {"began": began},
        )
    assert {row["run_id"]: row["status"] for row in recorded} == dict.fromkeys(ids, "completed")
    assert sum(row["changed"] > 0 for row in recorded) == 1


def at_once(deployed: Production, name: str, times: int, **parameters: Any) -> list[str]:
    """A deployment started so many times at the same moment; the ids of the runs."""
    path = f"/deployments/{deployed.get(f'/deployments/name/{name}')['id']}/create_flow_run"
    body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
    with ThreadPoolExecutor(times) as pool:
        made = pool.map(lambda _: deployed.post(path, body), range(times))
        return [str(run["id"]) for run in made]


def test_a_cancelled_run_leaves_nothing_in_the_way(deployed: Production, tenant: Tenant) -> None:
    with stack.worker():
        with slowly(tenant):
            run_id = at_work(deployed, tenant)
            state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
            deployed.post(f"/flow_runs/{run_id}/set_state", state)
            assert deployed.ended(run_id)["state_type"] == "CANCELLED"
        finished(deployed)
    assert chunks_fetched_twice(deployed) == 0


def test_a_run_that_was_taken_and_never_begins_is_ended(deployed: Production) -> None:
    """As when a worker is ended at the moment it takes a run; here after seconds."""
    (known,) = [
        one for one in deployed.post("/automations/filter") if "did not begin" in one["name"]
    ]
    soon = known | {"trigger": known["trigger"] | {"within": 10}}
    body = {name: soon[name] for name in ("name", "description", "enabled", "trigger", "actions")}
    httpx.put(f"{deployed.api}/automations/{known['id']}", json=body).raise_for_status()
    try:
        run_id = taken(deployed)
        run = until(lambda: _in(deployed.run_of(run_id), "CRASHED"))
    finally:
        deployed.run("st_kpi", "bootstrap")
    assert "did not begin" in run["state"]["message"]


def test_a_worker_that_is_stopped_as_it_takes_a_run_ends_it(deployed: Production) -> None:
    """Nobody else would: the run would hold its queue's one place."""
    pause(deployed, True)
    try:
        run_id = taken(deployed)
        with stack.worker():
            pass
    finally:
        pause(deployed, False)
    run = deployed.run_of(run_id)
    assert run["state_type"] == "CRASHED"
    assert "stopped before the run began" in run["state"]["message"]


def test_a_paused_pool_keeps_runs_waiting(deployed: Production) -> None:
    with stack.worker():
        finished(deployed)
    pause(deployed, True)
    try:
        with stack.worker():
            run_id = deployed.start("daily-sync/intraday", entities=["payments"])
            late = until(lambda: _named(deployed.run_of(run_id), "Late"))
            assert late["state_type"] == "SCHEDULED"
            pause(deployed, False)
            assert deployed.ended(run_id)["state_type"] == "COMPLETED"
    finally:
        pause(deployed, False)


def test_a_gap_is_found_and_repaired_once(deployed: Production) -> None:
    """Rows that the warehouse lost: the sweep tells of them, and its event starts the repair."""
    with stack.worker():
        finished(deployed)
    address = deployed.environment["ST_KPI_WAREHOUSE"]
    with open_warehouse(address) as warehouse:
        (before,) = warehouse.query("SELECT COUNT(*) AS n FROM st_raw.payments")
        warehouse.execute(
            "DELETE FROM st_raw.payments WHERE id IN (SELECT MIN(id) FROM st_raw.payments)"
        )
    with stack.worker():
        deployed.ended(deployed.start("daily-sync/intraday", entities=["payments"], sweep=True))
        (repair,) = until(lambda: _by_automation(deployed, "repair-gap"))
        ended = deployed.ended(repair["id"])
        print(ended["name"], ended["state"]["message"], ended["parameters"])
        assert ended["parameters"]["entity"] == "payments"
        assert "fetched again" in ended["state"]["message"]
        deployed.ended(deployed.start("daily-sync/intraday", entities=["payments"], sweep=True))
    with open_warehouse(address, read_only=True) as warehouse:
        (after,) = warehouse.query("SELECT COUNT(*) AS n FROM st_raw.payments")
    assert after == before
    assert len(_by_automation(deployed, "repair-gap")) == 1


def test_a_backfill_hands_its_chunks_to_workers(
    deployed: Production, bigquery_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a warehouse that several processes can write: the backfill waits, and counts what the workers stored."""
    warehouse = {
        "ST_KPI_WAREHOUSE": "bigquery://local?location=US",
        "ST_KPI_BIGQUERY_URL": bigquery_url,
    }
    for name, value in warehouse.items():
        monkeypatch.setenv(name, value)
    emptied(bigquery_url).close()
    wanted = ["payrolls", "job_types", "returns"]
    with stack.worker(), stack.worker("another"):
        run = deployed.ended(deployed.start("backfill/manual", entities=wanted, fan_out="workers"))
    print(run["state"]["message"], run["total_run_time"])
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    handed = deployed.flow_runs("ingest-chunk")
    by_workers = [
        one for one in handed if one["deployment_id"] and one["parameters"]["run_id"] == run["id"]
    ]
    assert {one["parameters"]["entity"] for one in by_workers} == set(wanted)
    assert {one["state_type"] for one in by_workers} == {"COMPLETED"}
    limits = httpx.post(f"{deployed.api}/v2/concurrency_limits/filter", json={}).json()
    slots = {limit["name"]: (limit["limit"], limit["active_slots"]) for limit in limits}
    assert {name: slots.get(f"warehouse:{name}") for name in wanted} == dict.fromkeys(
        wanted, (1, 0)
    )


def pause(deployed: Production, paused: bool) -> None:
    answer = httpx.patch(f"{deployed.api}/work_pools/local", json={"is_paused": paused})
    answer.raise_for_status()


def _by_automation(deployed: Production, flow: str) -> list[dict[str, Any]]:
    runs = deployed.flow_runs(flow)
    return [run for run in runs if (run["created_by"] or {}).get("type") == "AUTOMATION"]


def _in(run: dict[str, Any], state: str) -> dict[str, Any] | None:
    return run if run["state_type"] == state else None


def _named(run: dict[str, Any], state: str) -> dict[str, Any] | None:
    return run if run["state"]["name"] == state else None
