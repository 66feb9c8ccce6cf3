"""Everything as it runs in production: a server with its services, deployments, a worker, events."""

import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from st_kpi.local.private_server import free_port
from st_kpi.local.process import start_process
from st_kpi.sandbox import generate_company
from st_kpi.warehouse import open_warehouse
from tests.support.production import Production, brought_up, open_folder, until
from tests.support.tenant import Tenant

pytestmark = pytest.mark.slow

BEGAN = datetime.now(UTC)
MATERIALIZED = "prefect.asset.materialization.succeeded"


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    with Tenant(generate_company(seed=7, scale=0.004)) as served:
        yield served


@pytest.fixture(scope="module")
def deployed(tenant: Tenant) -> Iterator[Production]:
    with open_folder() as folder, brought_up(tenant.url, folder) as made:
        yield made


def test_from_a_fresh_server_to_numbers(deployed: Production, tenant: Tenant) -> None:
    """A person starts a backfill; its event, though it comes fifty times, starts one refresh, and the numbers are there."""
    run = deployed.ended(deployed.start("backfill/manual", start="2020-01-01"))
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"].endswith("of 22 entities.")
    (done,) = until(lambda: deployed.events("st-kpi.sync.completed", BEGAN))
    assert done["payload"]["fetched"] == done["payload"]["stored"] > 5_000
    _repeat(deployed, done, 50)

    (refresh,) = until(lambda: deployed.flow_runs("refresh-kpis"))
    ended = deployed.ended(refresh["id"])
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert "checks hold" in ended["state"]["message"]
    assert len(deployed.flow_runs("refresh-kpis")) == 1  # half a minute after the storm
    assert until(lambda: deployed.events("st-kpi.kpis.refreshed", BEGAN))
    _equal_the_books(deployed, tenant)
    for asset in ("warehouse://st_raw/jobs", "warehouse://st_kpi/kpi_weekly"):
        assert until(partial(deployed.events, MATERIALIZED, BEGAN, asset)), asset


def _repeat(deployed: Production, event: dict[str, Any], times: int) -> None:
    """Send an event again and again, as a storm of small runs would."""
    now = datetime.now(UTC).isoformat()
    copy = {name: event[name] for name in ("event", "resource", "related", "payload")}
    deployed.post("/events", [copy | {"id": str(uuid4()), "occurred": now} for _ in range(times)])


def _equal_the_books(deployed: Production, tenant: Tenant) -> None:
    """The KPIs that do not depend on today, which a worker takes from its own clock."""
    with open_warehouse(deployed.environment["ST_KPI_WAREHOUSE"], read_only=True) as warehouse:
        rows = warehouse.query(
            "SELECT cell.kpi, week_start, `rollup` AS rollup_name, SUM(numerator) AS numerator"
            " FROM st_kpi.kpi_weekly AS cell JOIN st_ref.dim_kpis AS known ON known.kpi = cell.kpi"
            " WHERE known.kind <> 'snapshot' GROUP BY cell.kpi, week_start, `rollup`"
        )
    ours = {(r["kpi"], r["week_start"], r["rollup_name"]): r["numerator"] for r in rows}
    kpis = {kpi for kpi, _, _ in ours}
    theirs = {key: value[0] for key, value in tenant.books().items() if key[0] in kpis}
    assert len(kpis) == 10
    assert {key: n for key, n in ours.items() if n} == {key: n for key, n in theirs.items() if n}


def test_a_signed_webhook_starts_a_sync_of_its_entity(deployed: Production) -> None:
    """A quarter of an hour later, when the change shows in the feed; another one meanwhile is in the same run."""
    secret, port = "hush-hush-hush-hush-hush-hush-32", free_port()
    environment = deployed.environment | {"ST_KPI_WEBHOOK_SECRET": secret}
    command = ["webhooks", "serve", "--port", str(port)]
    process = start_process("st_kpi", command, stdout=subprocess.DEVNULL, environment=environment)
    try:
        until(lambda: _answers(port))
        for number in range(3):
            body = json.dumps({"id": f"e{number}", "type": "InvoiceUpdated"}).encode()
            signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            began = time.monotonic()
            answer = httpx.post(
                f"http://127.0.0.1:{port}/webhooks/servicetitan",
                content=body,
                headers={"x-servicetitan-signature": signature},
                trust_env=False,
            )
            print(f"answered in {1000 * (time.monotonic() - began):.1f} ms")
            assert answer.status_code == 202
        until(lambda: len(deployed.events("st-kpi.webhook.received", BEGAN)) == 3)
    finally:
        process.kill()
        process.communicate()
    until(lambda: _by_automation(deployed, "daily-sync"))
    time.sleep(3)  # for others, which there must not be
    (run,) = _by_automation(deployed, "daily-sync")
    assert run["parameters"]["entities"] == ["invoices"]
    assert run["state_type"] == "SCHEDULED"


def _by_automation(deployed: Production, flow: str) -> list[dict[str, Any]]:
    runs = deployed.flow_runs(flow)
    return [run for run in runs if (run["created_by"] or {}).get("type") == "AUTOMATION"]


def _answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    return False


def test_schedules_are_of_the_tenants_zone(deployed: Production) -> None:
    """The nightly one runs by itself, the other one is there to be switched on."""
    daily = deployed.get("/deployments/name/daily-sync/daily")
    (schedule,) = daily["schedules"]
    assert (schedule["schedule"]["cron"], schedule["active"]) == ("0 2 * * *", True)
    assert schedule["schedule"]["timezone"] == "America/Phoenix"
    nights = until(lambda: _scheduled(deployed, daily["id"]))
    assert {datetime.fromisoformat(night).astimezone(UTC).hour for night in nights} == {9}
    intraday = deployed.get("/deployments/name/daily-sync/intraday")
    assert [s["active"] for s in intraday["schedules"]] == [False]


def _scheduled(deployed: Production, deployment: str) -> list[str]:
    return [
        run["expected_start_time"]
        for run in deployed.flow_runs("daily-sync")
        if run["deployment_id"] == deployment
    ]


def test_the_bootstrap_changes_nothing_when_run_again(deployed: Production) -> None:
    """What a person chose in an automation is kept, too."""
    (failed,) = _automations(deployed, "st-kpi: a run failed")
    chosen = failed | {"actions": [{"type": "pause-automation", "source": "inferred"}]}
    body = {name: chosen[name] for name in ("name", "description", "enabled", "trigger", "actions")}
    httpx.put(f"{deployed.api}/automations/{failed['id']}", json=body).raise_for_status()
    before = _made(deployed)
    deployed.run("st_kpi", "bootstrap")
    assert _made(deployed) == before
    (kept,) = _automations(deployed, "st-kpi: a run failed")
    assert [action["type"] for action in kept["actions"]] == ["pause-automation"]


def _automations(deployed: Production, name: str) -> list[dict[str, Any]]:
    return [found for found in deployed.post("/automations/filter") if found["name"] == name]


def _made(deployed: Production) -> dict[str, list[tuple[str, Any]]]:
    """What the bootstrap makes, by name."""
    wanted = {
        "/automations/filter": "updated",
        "/v2/concurrency_limits/filter": "limit",
        "/work_queues/filter": "concurrency_limit",
        "/block_types/filter": "slug",
        "/work_pools/filter": "type",
    }
    return {
        path: sorted((found["name"], found[field]) for found in deployed.post(path))
        for path, field in wanted.items()
    }
