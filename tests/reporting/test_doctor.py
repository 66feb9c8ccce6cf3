"""``st-kpi doctor`` on a tenant, a warehouse and settings that fail in each way."""

import asyncio
import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from st_kpi.errors import RunFailed
from st_kpi.reporting.doctor import Check, Doubtful, Finding, NotNeeded, Patient, Verdict, examine
from st_kpi.sandbox import Company, SandboxCredentials, create_app
from st_kpi.sandbox.faults.app import Faults, misbehave
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.copy import copy
from st_kpi.warehouse.duckdb import place
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from st_kpi.windows import local_time
from tests.support.field import MONDAY
from tests.support.raw_rows import Tenant

SETTINGS = {
    "tenant_id": str(SandboxCredentials.TENANT_ID),
    "client_id": SandboxCredentials.CLIENT_ID,
    "client_secret": SandboxCredentials.CLIENT_SECRET,
    "app_key": SandboxCredentials.APP_KEY,
    "timezone": "America/Phoenix",
    "api_url": "https://tenant.test",
    "auth_url": "https://tenant.test",
}
Examined = Callable[..., Awaitable[dict[str, Finding]]]


class _Dated(httpx.AsyncBaseTransport):
    """The tenant with another clock, or none."""

    def __init__(self, inner: httpx.AsyncBaseTransport, date: Callable[[], str | None]) -> None:
        self._inner = inner
        self._date = date

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        del response.headers["Date"]
        if date := self._date():
            response.headers["Date"] = date
        return response


@pytest.fixture
def examined(company: Company, monkeypatch: pytest.MonkeyPatch) -> Examined:
    """Ask everything but Prefect of a tenant with these faults and these settings beside the right ones."""

    async def examined(
        *faults: str, date: Callable[[], str | None] | None = None, **settings: str
    ) -> dict[str, Finding]:
        for name, value in (SETTINGS | settings).items():
            monkeypatch.setenv(f"ST_KPI_{name.upper()}", value)
        app = create_app(company, requests_per_second=10_000)
        transport = httpx.ASGITransport(misbehave(app, Faults.parse(faults)))
        patient = Patient(_Dated(transport, date) if date else transport)
        try:
            checks = [*patient.checks(), patient.freshness()]
            return {finding.check: finding async for finding in examine(checks)}
        finally:
            await patient.close()

    return examined


def verdicts(findings: dict[str, Finding]) -> dict[str, Verdict]:
    return {name: finding.verdict for name, finding in findings.items()}


async def test_a_tenant_before_its_first_backfill(examined: Examined, tmp_path: Path) -> None:
    found = await examined()
    late = {Verdict.OK, Verdict.WARNING, Verdict.NOT_ASKED}
    assert set(verdicts(found).values()) == late
    assert found["scope of business_units"].says == "18 rows."
    assert found["clock"].verdict is Verdict.WARNING  # the made-up tenant's day is long past
    assert "build with --as-of" in found["clock"].says
    assert found["data"].says.endswith("yet: run `st-kpi backfill` first.")
    assert found["mappings"].says == "Cannot be asked before 'data' holds."
    assert list(tmp_path.iterdir()) == [], "it only reads"


async def test_settings_that_are_wrong_leave_nothing_to_ask(examined: Examined) -> None:
    found = await examined(warehous="x")
    assert found["settings"].verdict is Verdict.FAILS
    assert "the nearest is ST_KPI_WAREHOUSE" in found["settings"].says
    rest = [finding for name, finding in found.items() if name != "settings"]
    assert {finding.says for finding in rest} == {"Cannot be asked before 'settings' holds."}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("optional_entities", "bills", "There is no entity 'bills'"),
        ("optional_entities", "jobs", "names jobs, which every KPI needs"),
        ("keep_builds", "1", "Setting keep_builds: Input should be greater"),
        ("all_proxy", "socks5://127.0.0.1:9", "ALL_PROXY names a proxy of the kind"),
        ("timezone", "America/Fenix", "Setting timezone:"),
    ],
)
async def test_each_wrong_setting_is_named(
    name: str, value: str, said: str, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "all_proxy":
        monkeypatch.setenv("ALL_PROXY", value)
        found = await examined()
    else:
        found = await examined(**{name: value})
    assert found["settings"].verdict is Verdict.FAILS
    assert said in found["settings"].says


async def test_a_misspelt_key_of_the_file_is_named(examined: Examined, tmp_path: Path) -> None:
    (tmp_path / "st-kpi.toml").write_text("keep_build = 5\n")
    found = await examined()
    assert found["settings"].verdict is Verdict.FAILS
    assert f"{tmp_path}/st-kpi.toml: " in found["settings"].says
    assert "keep_builds" in found["settings"].says


async def test_missing_settings_fail_where_they_are_needed(examined: Examined) -> None:
    found = await examined(client_secret="", timezone="")
    assert "set ST_KPI_CLIENT_SECRET" in found["token"].says
    assert "Set ST_KPI_TIMEZONE" in found["zone"].says
    assert found["warehouse"].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("faults", "settings", "check", "said"),
    [
        (["token-refused"], {}, "token", "refused the client credentials (invalid_client)"),
        ([], {"client_id": "other"}, "token", "Check ST_KPI_CLIENT_ID and ST_KPI_CLIENT_SECRET"),
        ([], {"app_key": "other"}, "app key and tenant", "Check ST_KPI_APP_KEY and ST_KPI_TENANT_ID"),
        ([], {"tenant_id": "1"}, "app key and tenant", "Check ST_KPI_APP_KEY and ST_KPI_TENANT_ID"),
    ],
    ids=["refused", "client", "app key", "tenant"],
)  # fmt: skip
async def test_what_is_wrong_with_the_app(
    faults: list[str], settings: dict[str, str], check: str, said: str, examined: Examined
) -> None:
    found = await examined(*faults, **settings)
    failing = [name for name, verdict in verdicts(found).items() if verdict is Verdict.FAILS]
    assert failing == [check]
    assert said in found[check].says
    assert found["scope of jobs"].says == f"Cannot be asked before '{check}' holds."


async def test_a_missing_scope_says_what_it_costs(examined: Examined) -> None:
    found = await examined(
        "forbidden@inventory/returns",
        "missing-endpoint@payroll/gross-pay-items",
        optional_entities="gross_pay_items",
    )
    returns, pay = found["scope of returns"], found["scope of gross_pay_items"]
    assert returns.verdict is Verdict.FAILS
    assert "name returns in ST_KPI_OPTIONAL_ENTITIES" in returns.says
    assert returns.says.endswith("Without it these are incomplete: gpm, warranty_pct.")
    assert pay.verdict is Verdict.WARNING
    assert "It is declared optional." in pay.says
    scopes = [f"scope of {name}" for name in REGISTRY]
    assert [n for n in scopes if found[n].verdict is not Verdict.OK] == [
        "scope of gross_pay_items",
        "scope of returns",
    ]


async def test_two_clocks_that_agree_and_one_that_nobody_tells(examined: Examined) -> None:
    agreed = (await examined(date=lambda: format_datetime(dt.datetime.now(dt.UTC))))["clock"]
    assert (agreed.verdict, agreed.says.endswith(" UTC, as here.")) == (Verdict.OK, True)
    untold = (await examined(date=lambda: None))["clock"]
    assert untold.verdict is Verdict.FAILS
    assert "have no Date header, or one far ahead" in untold.says


async def test_a_file_that_is_no_warehouse(examined: Examined, tmp_path: Path) -> None:
    (tmp_path / "no.duckdb").write_text("nothing")
    found = await examined(warehouse="duckdb:///no.duckdb")
    assert found["data"].verdict is Verdict.FAILS
    assert "not a valid DuckDB database file" in found["data"].says


async def test_a_warehouse_that_another_process_holds(examined: Examined, tmp_path: Path) -> None:
    file = tmp_path / "held.duckdb"
    holds = f"import duckdb, sys\nheld = duckdb.connect({str(file)!r})\nprint('held', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        found = await examined(warehouse="duckdb:///held.duckdb")
        holder.communicate()
    assert found["data"].verdict is Verdict.FAILS
    assert "is held by another process" in found["data"].says


async def test_a_folder_that_is_not_there(examined: Examined) -> None:
    found = await examined(warehouse="duckdb:///nowhere/a.duckdb")
    assert "/nowhere does not exist" in found["warehouse"].says
    assert found["data"].says == "Cannot be asked before 'warehouse' holds."


async def test_a_disk_without_room(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(".").free
    monkeypatch.setattr(place, "ROOM_NEEDED", 2 * free)
    found = await examined()
    assert found["warehouse"].verdict is Verdict.FAILS
    assert "make room there" in found["warehouse"].says


async def test_data_and_mappings(small: Tenant, examined: Examined, tmp_path: Path) -> None:
    """The small tenant's rows are of another number than the made-up one, so no load of the latter is recorded."""
    file = tmp_path / "own.duckdb"
    copy_into(small, file)
    before = file.read_bytes()
    (tmp_path / "maps").mkdir()
    for name in ("business_units", "job_types"):
        shutil.copy(small.folder / f"{name}.csv", tmp_path / "maps")
    found = await examined(warehouse="duckdb:///own.duckdb")
    assert "No mapping files are set for tenant 1" in found["mappings"].says
    found = await examined(warehouse="duckdb:///own.duckdb", mappings="maps")
    assert found["data"].says == "Loaded, and free to be read and written."
    assert found["mappings"].says.endswith("maps: 2 lines of units, 1 of job types.")
    assert found["freshness"].says == "No load is recorded for this tenant: run `st-kpi backfill`."
    assert file.read_bytes() == before, "it only reads"
    accepted = tmp_path / "maps" / "accepted_checks.csv"
    accepted.write_text("check,subject,reason,valid_to\ninputs_read,gpm returns,None,\n")
    found = await examined(warehouse="duckdb:///own.duckdb", mappings="maps")
    assert found["mappings"].says.endswith("of job types; 1 accepted in accepted_checks.csv.")
    (tmp_path / "maps" / "job_types.csv").write_text("job_type,family\nRES,production\n")
    found = await examined(warehouse="duckdb:///own.duckdb", mappings="maps")
    assert found["mappings"].verdict is Verdict.FAILS
    assert "job_types.csv:2: No job type in ServiceTitan" in found["mappings"].says


def copy_into(tenant: Tenant, file: Path) -> None:
    """The tenant in a file of its own."""
    tenant.build(MONDAY)
    own = DuckDBWarehouse(file)
    copy(tenant.warehouse, own, raw_tables())
    own.close()


@pytest.mark.parametrize(
    ("hours", "verdict"), [(20, Verdict.OK), (40, Verdict.FAILS)], ids=["fresh", "stale"]
)
async def test_data_are_as_old_as_the_source_says(
    hours: int,
    verdict: Verdict,
    small: Tenant,
    company: Company,
    examined: Examined,
    tmp_path: Path,
) -> None:
    """By the source's clock, which for the made-up tenant is long behind ours."""
    now = (await examined())["clock"].says.split(" UTC")[0].removeprefix("It is ")
    read_at = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC) - dt.timedelta(hours=hours)
    chunk = {"tenant_id": company.tenant_id, "kind": "whole", "server_time": read_at}
    small.warehouse.insert("st_ops.chunks", [chunk | {"entity": "jobs"}])
    copy_into(small, tmp_path / "own.duckdb")
    found = (await examined(warehouse="duckdb:///own.duckdb"))["freshness"]
    assert found.verdict is verdict
    assert local_time(read_at, ZoneInfo("America/Phoenix")) in found.says
    assert ("st-kpi sync" in found.says) == (verdict is Verdict.FAILS)


async def test_checks_are_asked_side_by_side_and_told_in_order() -> None:
    order: list[str] = []

    def answers(name: str, seconds: float, error: Exception | None = None) -> Check:
        async def ask() -> str:
            await asyncio.sleep(seconds)
            order.append(name)
            if error:
                raise error
            return name

        return Check(name, ask)

    checks = [answers("slow", 0.05, RunFailed("no")), answers("quick", 0.0, Doubtful("well"))]
    checks += [Check("after", checks[1].ask, ("quick",)), Check("never", checks[1].ask, ("slow",))]
    checks += [answers("idle", 0.0, NotNeeded("none")), Check("last", checks[1].ask, ("idle",))]
    told = [(f.check, f.verdict, f.says) async for f in examine(checks)]
    assert told == [
        ("slow", Verdict.FAILS, "no"),
        ("quick", Verdict.WARNING, "well"),
        ("after", Verdict.WARNING, "well"),
        ("never", Verdict.NOT_ASKED, "Cannot be asked before 'slow' holds."),
        ("idle", Verdict.NOT_ASKED, "none"),
        ("last", Verdict.NOT_ASKED, "Cannot be asked before 'idle' holds."),
    ]
    assert order[0] == "quick"
    assert order[-1] == "slow"
