"""``st-kpi init`` on a made-up tenant: what it asks, tries, writes and leaves alone."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from st_kpi.cli.asking import Ask
from st_kpi.cli.init import run_init
from st_kpi.errors import AuthenticationError, ConfigurationError, StKpiError
from st_kpi.sandbox import Company, SandboxCredentials, create_app, generate_company
from st_kpi.sandbox.company import BusinessUnit
from st_kpi.sandbox.faults.app import Faults, misbehave
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.settings import load_settings
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.tenant import Tenant

GIVEN = {
    "client_id": SandboxCredentials.CLIENT_ID,
    "client_secret": SandboxCredentials.CLIENT_SECRET,
    "app_key": SandboxCredentials.APP_KEY,
    "timezone": "America/Phoenix",
}
Init = Callable[..., list[str]]


@pytest.fixture(scope="module")
def other() -> Company:
    """A tenant whose units and types are named in another way."""
    return generate_company(seed=3, scale=0.001)


@pytest.fixture
def init(other: Company, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Run it against the tenant with these faults, settings and answers."""
    for name in ("API_URL", "AUTH_URL"):
        monkeypatch.setenv(f"ST_KPI_{name}", "https://tenant.test")

    def run(*faults: str, ask: Ask | None = None, **given: Any) -> list[str]:
        app = create_app(other, requests_per_second=10_000)
        transport = httpx.ASGITransport(misbehave(app, Faults.parse(faults)))
        return run_init(given, ask, transport)

    return run


class Answers:
    """A person who answers by the beginning of a question, and what was asked."""

    def __init__(self, **answers: str | list[str]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, str | None, bool]] = []

    def __call__(self, question: str, *, default: str | None = None, hidden: bool = False) -> str:
        self.asked.append((question, default, hidden))
        key = re.split(r"[^A-Za-z ]| \(", question)[0].strip().lower().replace(" ", "_")
        answer = self._answers.get(key, default or "")
        return answer if isinstance(answer, str) else answer.pop(0)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_given_is_tried_and_written(
    init: Init, other: Company, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = init(**GIVEN, tenant_id=str(other.tenant_id))
    assert set(files(tmp_path)) == {
        ".env", ".gitignore", "st-kpi.toml", "mappings/business_units.csv", "mappings/job_types.csv",
    }  # fmt: skip
    assert told == [
        "Wrote mappings/business_units.csv: 20 lines, 6 of them not sure.",
        "Wrote mappings/job_types.csv: 43 lines, 5 of them not sure.",
        "Wrote into .env, which only you may read: client_id, client_secret, app_key.",
        "Wrote into st-kpi.toml: tenant_id, timezone, warehouse, mappings, api_url, auth_url.",
        "Look through the mapping files, then run `st-kpi doctor` and `st-kpi backfill`.",
    ]
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".gitignore").read_text() == ".env\n/mappings/\n"
    toml = (tmp_path / "st-kpi.toml").read_text()
    assert 'warehouse = "duckdb:///st_kpi.duckdb"\nmappings = "mappings"\n' in toml
    secret = SandboxCredentials.CLIENT_SECRET
    said = capsys.readouterr()
    assert not [text for text in (toml, *told, said.out, said.err) if secret in text]
    settings = load_settings()
    settings.require_credentials()
    assert settings.tenant_id == other.tenant_id
    assert settings.mappings == tmp_path / "mappings"
    before = files(tmp_path)
    assert init() == [
        "mappings/business_units.csv has a line for everything, and stays as it is.",
        "mappings/job_types.csv has a line for everything, and stays as it is.",
    ]
    assert files(tmp_path) == before


def test_what_is_new_is_added(init: Init, other: Company, tmp_path: Path) -> None:
    init(**GIVEN, tenant_id=str(other.tenant_id))
    before = files(tmp_path)
    unit = BusinessUnit(1_999, "Tahoe PL Sales", "", "SALES")
    other.business_units.append(unit)
    try:
        told = init()
    finally:
        other.business_units.remove(unit)
    assert told == [
        "Added 1 line for what is new to mappings/business_units.csv.",
        "mappings/job_types.csv has a line for everything, and stays as it is.",
        "Look through what was added, then run `st-kpi build`.",
    ]
    after = files(tmp_path)
    added = after.pop("mappings/business_units.csv").decode("utf-8-sig")
    assert added.splitlines()[-1] == "1999,Tahoe PL Sales,Tahoe PL,SALES,,,yes,,,"
    assert added.encode("utf-8-sig").startswith(before.pop("mappings/business_units.csv"))
    assert after == before


def test_with_data_loaded_each_line_says_what_hangs_on_it(
    init: Init, other: Company, tmp_path: Path
) -> None:
    """And what records name gets a line, though ServiceTitan does not list it any more."""
    warehouse = DuckDBWarehouse(tmp_path / "st_kpi.duckdb")
    warehouse.ensure(raw_tables())
    mine = {"tenant_id": other.tenant_id}
    warehouse.insert("st_raw.business_units", [mine | {"id": 1_000, "name": "Any"}])
    warehouse.insert("st_raw.job_types", [mine | {"id": 2_000, "name": "Any"}])
    job = {"id": 1, "business_unit_id": 1_000, "job_type_id": 2_999}
    warehouse.insert("st_raw.jobs", [mine | job, {"tenant_id": 1} | job])
    bill = {"id": 1, "job_id": 1, "business_unit_id": 1_777, "sub_total": Decimal("12.50")}
    warehouse.insert("st_raw.invoices", [mine | bill, {"tenant_id": 1} | bill])
    warehouse.close()
    init(**GIVEN, tenant_id=str(other.tenant_id))
    units = (tmp_path / "mappings" / "business_units.csv").read_text(encoding="utf-8-sig")
    kinds = (tmp_path / "mappings" / "job_types.csv").read_text(encoding="utf-8-sig")
    assert "SALES,,,yes,1,0.00,\n" in units
    assert "1777,,Unknown,BOTH,,,no,0,12.50,ServiceTitan does not list it any more" in units
    assert "2999,,other,no,1,12.50,ServiceTitan does not list it any more" in kinds
    assert "2000,Estimate - Water Heater,estimate,yes,0,0.00,\n" in kinds


@pytest.mark.parametrize("written", range(5))
def test_killed_half_way_it_goes_on_where_it_was(
    written: int, init: Init, other: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = GIVEN | {"tenant_id": str(other.tenant_id)}
    replace, left = Path.replace, written

    def killed(file: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return replace(file, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            init(**given)
    there = {name: text for name, text in files(tmp_path).items() if "unfinished" not in name}
    assert len(there) == written
    init(**given)
    whole = files(tmp_path)
    assert len(whole) == 5, "nothing unfinished is left"
    assert there.items() <= whole.items()
    assert init() == [
        "mappings/business_units.csv has a line for everything, and stays as it is.",
        "mappings/job_types.csv has a line for everything, and stays as it is.",
    ]


def test_without_a_terminal_all_that_is_missing_is_one_error(init: Init, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as missing:
        init(client_id="x")
    assert str(missing.value) == (
        "Missing, and there is no terminal to ask on: --client-secret or ST_KPI_CLIENT_SECRET, --app-key or"
        " ST_KPI_APP_KEY, --tenant-id or ST_KPI_TENANT_ID, --timezone or ST_KPI_TIMEZONE."
    )
    assert files(tmp_path) == {}


def test_a_zone_is_proposed_and_never_taken_in_silence(
    init: Init, other: Company, tmp_path: Path
) -> None:
    given = {n: v for n, v in GIVEN.items() if n != "timezone"} | {"tenant_id": other.tenant_id}
    with pytest.raises(ConfigurationError, match="It may be America/Phoenix: 16 of 16 business un"):
        init(**given)
    assert files(tmp_path) == {}
    ask = Answers(time_zone=["Mars/Base", "America/Denver"])
    init(**given, ask=ask)
    assert ask.asked[-1] == ("Time zone", "America/Phoenix", False)
    assert load_settings().timezone == "America/Denver"


def test_on_a_terminal_what_is_missing_is_asked_for(
    init: Init, other: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = Answers(
        client_id=GIVEN["client_id"],
        client_secret=["", GIVEN["client_secret"]],
        app_key=GIVEN["app_key"],
        tenant_id=["forty-two", str(other.tenant_id)],
        warehouse="duckdb:///other.duckdb",
    )
    init(ask=ask)
    assert "Setting tenant_id:" in capsys.readouterr().err
    questions = [question.split(" (")[0] for question, _, _ in ask.asked]
    assert questions == [
        "Client id", "Client secret", "Client secret", "App key", "Tenant id", "Tenant id",
        "Environment, production or integration", ask.asked[7][0], "Time zone",
    ]  # fmt: skip
    assert {question for question, _, hidden in ask.asked if hidden} == {
        "Client secret (is not shown)",
        "App key (is not shown)",
    }
    assert ask.asked[7][1] == "duckdb:///st_kpi.duckdb"
    settings = load_settings()
    assert settings.warehouse.endswith("/other.duckdb")
    assert (settings.environment, settings.timezone) == ("production", "America/Phoenix")
    again = Answers()
    init(ask=again)
    assert again.asked == []


@pytest.mark.parametrize(
    ("faults", "given", "kind", "said"),
    [
        ([], {"client_secret": "wrong"}, AuthenticationError, "ST_KPI_CLIENT_SECRET"),
        ([], {"app_key": "wrong"}, AuthenticationError, "ST_KPI_APP_KEY"),
        ([], {"warehouse": "duckdb:///nowhere/a.duckdb"}, ConfigurationError, "nowhere"),
        (["forbidden@jpm/"], {}, ConfigurationError, "may not read job_types. Without it no KPI"),
    ],
)
def test_what_fails_when_it_is_tried_writes_nothing(
    faults: list[str], given: dict[str, str], kind: type[StKpiError], said: str,
    init: Init, other: Company, tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(kind, match=said):
        init(*faults, **GIVEN | {"tenant_id": other.tenant_id} | given)
    assert files(tmp_path) == {}


def test_what_the_app_may_not_read_is_proposed_as_optional(
    init: Init, other: Company, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = GIVEN | {"tenant_id": other.tenant_id}
    init("forbidden@inventory/", **given)
    assert load_settings().optional_entities == {"purchase_orders", "receipts", "returns"}
    said = capsys.readouterr().err
    assert (
        "may not read returns, so it is proposed as optional. Without it these are incomp" in said
    )
    before = files(tmp_path)
    told = init("forbidden@inventory/", "forbidden@payroll/payrolls")
    assert told[-1] == f"Add to optional_entities in {tmp_path}/st-kpi.toml: payrolls."
    assert "may not read returns, and it is declared optional." in capsys.readouterr().err
    assert files(tmp_path) == before


def test_a_file_that_says_something_else_is_not_passed_over(
    init: Init, other: Company, tmp_path: Path
) -> None:
    (tmp_path / "st-kpi.toml").write_text('timezone = "America/Denver"\n')
    with pytest.raises(ConfigurationError, match="has another timezone than the command line"):
        init(**GIVEN, tenant_id=str(other.tenant_id))
    assert set(files(tmp_path)) == {"st-kpi.toml"}


def test_others_who_can_read_the_secrets_are_told_of(
    init: Init, other: Company, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"ST_KPI_TENANT_ID={other.tenant_id}\n")
    (tmp_path / ".env").chmod(0o644)
    told = init(**GIVEN)
    assert told[-2] == "Others can read .env: `chmod 600` keeps it yours."
    assert "tenant_id" not in (tmp_path / "st-kpi.toml").read_text(), "it stands in .env"


@pytest.mark.process
def test_secrets_that_are_typed_are_not_shown(other: Company, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with Tenant(other) as tenant:
        urls = {"ST_KPI_API_URL": tenant.url, "ST_KPI_AUTH_URL": tenant.url}
        process = subprocess.Popen(
            [sys.executable, "-m", "st_kpi", "init", "--client-id", GIVEN["client_id"]],
            env=os.environ | urls,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = ""
        for question, answer in (
            ("Client secret (is not shown): ", GIVEN["client_secret"]),
            ("App key (is not shown): ", GIVEN["app_key"]),
            ("Tenant id: ", str(other.tenant_id)),
            ("Environment, production or integration [production]: ", ""),
            ("location=US [duckdb:///st_kpi.duckdb]: ", ""),
            ("Time zone [America/Phoenix]: ", ""),
        ):
            while not shown.endswith(question):
                shown += os.read(ours, 1024).decode()
            os.write(ours, f"{answer}\n".encode())
        told = process.communicate(timeout=30)[0].decode()
        assert process.returncode == 0, shown
    os.close(ours)
    assert "Wrote into .env, which only you may read" in told
    assert str(other.tenant_id) in shown, "what is no secret is shown"
    assert GIVEN["client_secret"] not in shown + told
    assert GIVEN["app_key"] not in shown + told
    assert "The time zone may be America/Phoenix: 16 of 16 business units" in shown
