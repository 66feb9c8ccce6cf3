"""The command line as a person meets it: one clear sentence, the right exit code, nothing written."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from st_kpi.cli import app, progress
from st_kpi.cli.demo import ServedTenant, sandbox
from st_kpi.errors import StKpiError
from st_kpi.kpis.definitions.statements import default_root
from st_kpi.sandbox.company import SandboxCredentials


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


#: Variables of others that a case may set.
_OF_OTHERS = {"prefect": "PREFECT_API_URL", "all_proxy": "ALL_PROXY"}


def environment_of(settings: dict[str, str]) -> dict[str, str]:
    """Variables that say the settings, and where Prefect is."""
    return {
        _OF_OTHERS.get(name) or f"ST_KPI_{name.upper()}": value for name, value in settings.items()
    }


def process(*arguments: str, **settings: str) -> Ended:
    """Run the command in the test's folder with only these settings, as a person does."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ST_KPI_")}
    done = subprocess.run(
        [sys.executable, "-m", "st_kpi", *arguments],
        env=environment | environment_of(settings),
        capture_output=True,
        text=True,
        timeout=180,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def st_kpi(*arguments: str, **settings: str) -> Ended:
    """The same within this process, which has imported everything already.

    Like ``main`` it makes a sentence of our own errors; any other would be a traceback, and fails the test.
    """
    result = CliRunner().invoke(app, arguments, env=environment_of(settings))
    error = result.exception
    if isinstance(error, StKpiError):
        return Ended(error.exit_code, result.stdout, f"{result.stderr}st-kpi: {error}\n")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Ended(result.exit_code, result.stdout, result.stderr)


SANDBOX = {
    "tenant_id": str(SandboxCredentials.TENANT_ID),
    "client_id": SandboxCredentials.CLIENT_ID,
    "client_secret": SandboxCredentials.CLIENT_SECRET,
    "app_key": SandboxCredentials.APP_KEY,
    "timezone": "America/Phoenix",
    "api_url": "http://127.0.0.1:9",
    "auth_url": "http://127.0.0.1:9",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in SANDBOX.items() if name not in names}


WRONG_USE = [
    pytest.param(["backfill"], without("client_secret", "app_key"),
                 "ServiceTitan credentials are missing: set ST_KPI_CLIENT_SECRET, ST_KPI_APP_KEY.",
                 id="credentials missing"),
    pytest.param(["init"], {}, "--client-id or ST_KPI_CLIENT_ID, --client-secret or", id="nothing to begin with"),
    pytest.param(["backfill"], without("timezone"), "Set ST_KPI_TIMEZONE", id="zone missing"),
    pytest.param(["build"], {}, "Set ST_KPI_TIMEZONE", id="zone missing for a build"),
    pytest.param(["backfill", "--from", "2025-02-01", "--to", "2025-01-01"], SANDBOX,
                 "The first day 2025-02-01 is after the last day 2025-01-01.", id="days reversed"),
    pytest.param(["backfill", "--from", "yesterday"], SANDBOX,
                 "'yesterday' is not a day: write it as 2025-01-31.", id="no day"),
    pytest.param(["backfill", "--entity", "job"], SANDBOX,
                 "There is no entity 'job'. The entities are: business_units, job_types,",
                 id="unknown entity"),
    pytest.param(["backfill"], SANDBOX | {"warehouse": "duckdb:///nowhere/a.duckdb"},
                 "/nowhere does not exist", id="no such folder"),
    pytest.param(["backfill"], SANDBOX | {"warehouse": "oracle://x"},
                 "The warehouse 'oracle://x' is not understood", id="unknown warehouse"),
    pytest.param(["build"], SANDBOX, "/st_kpi.duckdb yet: run `st-kpi backfill` first",
                 id="nothing to build from"),
    pytest.param(["sync"], SANDBOX, "/st_kpi.duckdb yet: run `st-kpi backfill` first",
                 id="nothing to sync"),
    pytest.param(["repair"], SANDBOX, "/st_kpi.duckdb yet: run `st-kpi backfill` first",
                 id="nothing to repair"),
    pytest.param(["backfill"], SANDBOX | {"prefect": "http://127.0.0.1:9/api"},
                 "The Prefect API at http://127.0.0.1:9/api does not answer", id="no Prefect API"),
    pytest.param(["show"], {}, "/st_kpi.duckdb yet: run `st-kpi backfill`",
                 id="nothing to show"),
    pytest.param(["status"], {}, "/st_kpi.duckdb yet: run `st-kpi backfill` first", id="no status yet"),
    pytest.param(["show"], {"warehouse": "bigquery://made-up", "all_proxy": "socks5://127.0.0.1:9"},
                 "ALL_PROXY names a proxy of the kind socks5://", id="no such proxy"),
    pytest.param(["mappings"], SANDBOX, "/st_kpi.duckdb yet: run `st-kpi backfill` first", id="nothing to map"),
    pytest.param(["show", "--format", "xml"], {}, "'xml' is not one of", id="unknown format"),
    pytest.param(["sandbox", "serve", "--scale", "99"], {}, "--scale", id="scale out of range"),
    pytest.param(["explode"], {}, "No such command 'explode'", id="unknown command"),
]  # fmt: skip
#: One of each kind of error: of the settings, of a run, of the words themselves.
AS_PROCESSES = {"credentials missing", "no Prefect API", "unknown command"}


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [case for case in WRONG_USE if case.id != "no Prefect API"],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(
    arguments: list[str], settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = st_kpi(*arguments, **settings)
    assert_one_sentence(done, said)
    assert list(tmp_path.glob("*.duckdb")) == []


def test_the_doctor_says_what_fails_and_what_cannot_be_asked_for_it() -> None:
    done = st_kpi("doctor", **without("client_secret"), warehous="x")
    assert (done.returncode, done.stderr) == (1, "")
    first, second, *rest = done.stdout.splitlines()
    assert first.split(maxsplit=2)[:2] == ["fails", "settings"]
    assert "the nearest is ST_KPI_WAREHOUSE" in first
    assert (
        second
        == "not asked  token                         Cannot be asked before 'settings' holds."
    )
    assert rest[-1].startswith("not asked  freshness")
    document = json.loads(st_kpi("doctor", "--json", **without("client_secret")).stdout)
    of = {check["check"]: check for check in document["checks"]}
    assert document["verdicts"]["fails"] >= 1  # more where an earlier test left a Prefect API set
    assert (of["settings"]["verdict"], of["token"]["verdict"]) == ("ok", "fails")
    assert "set ST_KPI_CLIENT_SECRET" in of["token"]["says"]


def test_a_run_begins_by_saying_where_it_reads_and_writes(tmp_path: Path) -> None:
    done = st_kpi("build", **SANDBOX, mappings="ours")
    places = f"Warehouse duckdb:///{tmp_path}/st_kpi.duckdb, mappings {tmp_path}/ours."
    assert done.stderr.splitlines()[0] == places


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "settings", "said"), [case for case in WRONG_USE if case.id in AS_PROCESSES]
)
def test_a_process_ends_with_one_sentence_and_no_traceback(
    arguments: list[str], settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = process(*arguments, **settings)
    assert_one_sentence(done, said)
    assert list(tmp_path.glob("*.duckdb")) == [] or "does not answer" in said


def assert_one_sentence(done: Ended, said: str) -> None:
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if "yet" in said or "does not answer" in said else 2)
    assert done.stdout == ""


def test_lint_is_clean() -> None:
    done = st_kpi("lint")
    assert (done.returncode, done.stdout) == (0, "The KPI SQL is clean.\n")


@pytest.fixture(scope="module")
def tenant() -> Iterator[ServedTenant]:
    with sandbox(0.004, 7) as served:
        yield served


@pytest.fixture(scope="module")
def built(
    tenant: ServedTenant, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Settings of a warehouse that the command line has filled and built."""
    settings = SANDBOX | {
        "api_url": tenant.url,
        "auth_url": tenant.url,
        "warehouse": f"duckdb:///{tmp_path_factory.mktemp('built')}/a.duckdb",
    }
    done = process("backfill", **settings)
    assert done.returncode == 0, done.stderr
    plan = r"To load: [\d,]+ rows in \d+ chunks, about [\d,]+ requests; about \d minutes?, longer"
    said = [line for line in done.stderr.splitlines() if re.match(plan, line)]
    assert len(said) == 1, done.stderr
    done = st_kpi("build", "--as-of", str(tenant.today), **settings)
    assert done.returncode == 0, done.stderr
    return settings


def test_show_as_table_csv_and_json(built: dict[str, str], tenant: ServedTenant) -> None:
    table = process("show", **built).stdout
    assert "All rollups" in table
    assert "2025-10-20" in table
    assert f"As of {tenant.today}" in table
    lines = st_kpi("show", "--format", "csv", "--kpi", "leads", **built).stdout.splitlines()
    assert lines[0] == "kpi,week_start,rollup,numerator,denominator,value"
    assert len(lines) == 1 + 8 * 9
    document = json.loads(st_kpi("show", "--format", "json", "--weeks", "2", **built).stdout)
    assert document["as_of"] == str(tenant.today)
    assert {row["week_start"] for row in document["values"]} == {"2025-10-13", "2025-10-20"}
    csv_leads = {tuple(line.split(",")) for line in lines[1:]}
    for row in document["values"]:
        if row["kpi"] == "leads":
            cells = (row["kpi"], row["week_start"], row["rollup"], row["numerator"] or "",
                     row["denominator"] or "", row["value"] or "")  # fmt: skip
            assert cells in csv_leads


def test_nothing_is_read_in_silence(built: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on BigQuery, where an answer takes seconds."""
    monkeypatch.setattr(progress, "_FIRST_LINE", 0.0)
    for command in ("show", "status", "mappings", "explain leads --week 2025-10-13", "diff"):
        done = st_kpi(*command.split(), **built)
        assert done.stderr.startswith(f"Reading {built['warehouse']}: 0 s\n"), command


def test_one_week_one_rollup(built: dict[str, str]) -> None:
    done = st_kpi(
        "show",
        "--kpi",
        "leads",
        "--week",
        "2025-10-16",
        "--rollup",
        "phx",
        "--format",
        "csv",
        **built,
    )
    (row,) = done.stdout.splitlines()[1:]
    assert row.startswith("leads,2025-10-13,PHX,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kpi", "lead"], "There is no KPI 'lead'. The KPIs are: leads, total_booked,"),
        (["--rollup", "Mars"], "There is no rollup 'Mars'. The rollups are: ABQ, DEN,"),
        (["--week", "1999-01-01"], "There is no week of 1998-12-28: the weeks go from 20"),
    ],
    ids=["kpi", "rollup", "week"],
)
def test_what_does_not_exist_names_what_does(
    built: dict[str, str], arguments: list[str], said: str
) -> None:
    done = st_kpi("show", *arguments, **built)
    assert done.returncode == 2
    assert said in done.stderr


def test_status_says_what_is_there(built: dict[str, str]) -> None:
    done = process("status", **built)
    assert done.returncode == 0
    assert "Last run: backfill" in done.stdout
    document = json.loads(st_kpi("status", "--json", **built).stdout)
    jobs = next(row for row in document["entities"] if row["entity"] == "jobs")
    assert jobs["promised"] == jobs["fetched"] == jobs["stored"] > 0
    assert jobs["rows"] >= jobs["stored"]  # the feed also brings deleted ones
    assert jobs["gaps"] == []
    assert document["last_run"]["status"] == "completed"


def test_a_copy_has_every_row_and_goes_on_from_there(
    built: dict[str, str], tenant: ServedTenant, tmp_path: Path
) -> None:
    there = built | {"warehouse": f"duckdb:///{tmp_path}/copy.duckdb"}
    ways = ["copy", "--from", built["warehouse"], "--to", there["warehouse"]]
    done = st_kpi(*ways)
    assert done.returncode == 0, done.stderr
    assert "st_raw.jobs: " in done.stderr
    assert f"Set ST_KPI_WAREHOUSE={there['warehouse']} to go on there." in done.stdout
    assert different_tables(built["warehouse"], there["warehouse"]) == ["st_ops.statement_states"]

    before = st_kpi("show", "--format", "json", **built).stdout
    done = st_kpi("build", "--as-of", str(tenant.today), **there)
    assert done.returncode == 0, done.stderr
    assert st_kpi("show", "--format", "json", **there).stdout == before
    done = st_kpi("sync", **there)
    assert done.returncode == 0, done.stderr

    done = st_kpi(*ways)
    assert done.returncode == 2
    assert "The target already holds loaded rows" in done.stderr


def different_tables(one: str, other: str) -> list[str]:
    """The tables whose rows are not the same in two warehouse files, without the scratch ones."""
    with duckdb.connect() as connection:
        for name, url in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{url.removeprefix('duckdb:///')}' AS {name} (READ_ONLY)")
        tables = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
            " WHERE database_name = 'one' AND schema_name <> 'st_staging' ORDER BY 1"
        ).fetchall()
        assert len(tables) > 40
        return [
            table
            for (table,) in tables
            if connection.execute(
                f"(FROM one.{table} EXCEPT ALL FROM other.{table})"
                f" UNION ALL (FROM other.{table} EXCEPT ALL FROM one.{table}) LIMIT 1"
            ).fetchall()
        ]


@pytest.mark.parametrize(
    ("ways", "said", "code"),
    [
        (("duckdb:///a.duckdb", "duckdb:///a.duckdb"), "name an empty warehouse", 2),
        (("duckdb:///absent.duckdb", "duckdb:///b.duckdb"), "/absent.duckdb yet", 1),
        (("oracle://x", "duckdb:///b.duckdb"), "The warehouse 'oracle://x' is not understood", 2),
    ],
    ids=["the same", "no source", "unknown"],
)
def test_a_copy_that_makes_no_sense(ways: tuple[str, str], said: str, code: int) -> None:
    done = st_kpi("copy", "--from", ways[0], "--to", ways[1])
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not Path("b.duckdb").exists()


def test_a_file_is_no_copy_of_itself_by_another_name() -> None:
    done = st_kpi(
        "copy", "--from", "duckdb:///a.duckdb", "--to", f"duckdb:///{Path.cwd()}/a.duckdb"
    )
    assert f"are both duckdb:///{Path.cwd()}/a.duckdb" in done.stderr


def test_a_copy_goes_by_the_settings_of_bigquery(built: dict[str, str]) -> None:
    """An address to which no credentials may be sent is refused before anything is."""
    settings = built | {"bigquery_url": "http://bigquery.test"}
    done = st_kpi("copy", "--from", built["warehouse"], "--to", "bigquery://made-up", **settings)
    assert done.returncode == 2
    assert "ST_KPI_BIGQUERY_URL is 'http://bigquery.test'" in done.stderr


def test_a_partial_backfill_shows_its_gaps(
    built: dict[str, str], tenant: ServedTenant, tmp_path: Path
) -> None:
    settings = built | {
        "warehouse": f"duckdb:///{tmp_path}/part.duckdb",
        "history_start": "2024-11-01",
    }
    done = st_kpi(
        "backfill", "--entity", "jobs", "--from", "2025-01-01", "--to", "2025-01-31", **settings
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(st_kpi("status", "--json", **settings).stdout)
    gaps = {row["entity"]: row["gaps"] for row in document["entities"]}
    assert gaps["jobs"] == ["2024-11", "2024-12"]
    assert gaps["job_types"] == ["all"]


def test_a_malformed_mapping_stops_the_build_before_anything_is_written(
    built: dict[str, str], tmp_path: Path
) -> None:
    before = st_kpi("show", "--format", "json", **built).stdout
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "business_units.csv").write_text(
        "business_unit,rollup,role,valid_from,valid_to\nPhoenix Sales,PHX,SELLING,,\n"
    )
    (folder / "job_types.csv").write_text("job_type,family\n")
    done = st_kpi("build", **built | {"mappings": str(folder)})
    assert done.returncode == 2
    assert "business_units.csv:2" in done.stderr
    assert "SELLING" in done.stderr
    assert "Traceback" not in done.stderr
    assert st_kpi("show", "--format", "json", **built).stdout == before


def test_mappings_say_what_has_no_line(built: dict[str, str], tmp_path: Path) -> None:
    done = st_kpi("mappings", **built)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nEverything that has jobs or money is mapped.\n")
    types = [line for line in done.stdout.splitlines() if "production" in line]
    assert len(types) > 10
    folder = tmp_path / "ours"
    shutil.copytree(default_root() / "mappings", folder)
    file = folder / "business_units.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("Denver")))
    done = st_kpi("mappings", **built | {"mappings": str(folder)})
    assert done.returncode == 1
    assert f"{file} needs a line for Denver Production, Denver Sales." in done.stdout
    rows = st_kpi("mappings", "--format", "csv", **built | {"mappings": str(folder)}).stdout
    assert len([row for row in rows.splitlines() if row.endswith(",unmapped")]) == 2


def test_a_file_that_another_process_holds(built: dict[str, str]) -> None:
    file = built["warehouse"].removeprefix("duckdb:///")
    with duckdb.connect(file):
        done = process("show", **built)
    assert done.returncode == 1
    assert "is held by another process" in done.stderr


def test_a_source_that_refuses_the_credentials(built: dict[str, str], tmp_path: Path) -> None:
    settings = built | {"client_secret": "wrong-one", "warehouse": f"duckdb:///{tmp_path}/a.duckdb"}
    done = process("backfill", **settings)
    assert done.returncode == 2
    assert "ST_KPI_CLIENT_SECRET" in done.stderr
    assert "wrong-one" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_demo_proves_itself(prefect_server: str, tmp_path: Path) -> None:
    done = process("demo", "--scale", "0.004", "--seed", "3", "--home", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr
    assert "are equal to the cent." in done.stdout
    assert str(tmp_path / "demo" / "demo.duckdb") in done.stdout
    assert f"The weekly review is {tmp_path / 'demo' / 'weekly-review.html'}" in done.stdout
    assert "Weekly review" in (tmp_path / "demo" / "weekly-review.html").read_text(encoding="utf-8")
    assert date.today().isoformat() not in done.stdout.split("All rollups")[0]
