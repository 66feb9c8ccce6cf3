"""How a command begins and ends: what it imports, what it says last."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from st_kpi.cli.demo import ServedTenant, sandbox
from st_kpi.sandbox.company import SandboxCredentials


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in the test's folder, with no settings but these and no Prefect API."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "ST_KPI_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


MAIN = "from st_kpi.cli import main; main()"


def test_the_version_is_the_installed_one() -> None:
    done = python(MAIN, "--version")
    assert (done.returncode, done.stdout) == (0, f"st-kpi {version('st-kpi')}\n")
    assert done.stderr == ""


#: Runs a command and says which of the large modules it imported.
LOOKING = """\
import sys
from st_kpi.cli import app
from st_kpi.errors import StKpiError
try: app()
except (SystemExit, StKpiError): pass
large = ("duckdb", "google.cloud", "httpx", "prefect", "pydantic", "sqlglot", "st_kpi.settings")
print(*(name for name in large if name in sys.modules), file=sys.stderr)
"""


_NUMBERS = {"duckdb", "pydantic", "sqlglot", "st_kpi.settings"}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--version", set()),
        ("--help", set()),
        ("show --help", {"pydantic"}),  # by which Typer reads arguments
        ("show", _NUMBERS),
        ("explain leads --day 2025-01-31", _NUMBERS),
        ("diff", _NUMBERS),
        ("lint", _NUMBERS),
        ("status", _NUMBERS | {"httpx"}),
        ("copy --from duckdb:///a.duckdb --to duckdb:///b.duckdb", _NUMBERS),
        ("sandbox serve --help", {"pydantic"}),
        ("backfill --from yesterday", _NUMBERS | {"httpx"}),
    ],
)
def test_a_command_imports_what_it_needs(command: str, needed: set[str]) -> None:
    """Above all no Prefect, which takes a second."""
    done = python(LOOKING, *command.split(), ST_KPI_TIMEZONE="America/Phoenix")
    imported = set(done.stderr.splitlines()[-1].split())
    assert imported <= needed, done.stderr


def test_a_command_runs_where_signals_cannot_be_blocked() -> None:
    """As on Windows; what a command starts for itself does, too."""
    without = "import signal\nfor name in ('pthread_sigmask', 'pthread_kill', 'sigwait'): delattr(signal, name)\n"
    done = python(without + MAIN, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    child = (
        "import os, sys\nreader, writer = os.pipe()\nos.dup2(reader, 0)\nsys.argv = ['', 'this']\n"
        "from st_kpi.local import process\nprocess._main()"
    )
    done = python(without + child)
    assert (done.returncode, "Zen of Python" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("command", ["bootstrap", "demo --scale 0.004"])
def test_a_user_without_a_home_is_told_to_name_one(command: str) -> None:
    """As in a container that runs under a number which nobody has given a name."""
    nobody = "import os, pwd\ndel os.environ['HOME']\ndef getpwuid(number): raise KeyError(number)\npwd.getpwuid = getpwuid\n"
    done = python(nobody + MAIN, *command.split())
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "st-kpi: This user has no home folder, and Prefect needs one: set HOME to a folder that it may write."
    )


@pytest.mark.parametrize("command", ["bootstrap", "demo --scale 0.004"])
def test_settings_of_prefect_that_cannot_be_read_are_one_sentence(command: str) -> None:
    done = python(MAIN, *command.split(), PREFECT_API_REQUEST_TIMEOUT="abc")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "st-kpi: Prefect's own settings cannot be read: "
    )


def test_what_nobody_foresaw_is_shown_in_full() -> None:
    done = python("from st_kpi.cli.lifecycle import run\nrun(lambda: 1 / 0)")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.fixture(scope="module")
def tenant() -> Iterator[ServedTenant]:
    with sandbox(0.004, 7) as served:
        yield served


@pytest.fixture(scope="module")
def loaded(tenant: ServedTenant, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a warehouse that holds a little, on a private Prefect server."""
    environment = {
        "ST_KPI_TENANT_ID": str(SandboxCredentials.TENANT_ID),
        "ST_KPI_CLIENT_ID": SandboxCredentials.CLIENT_ID,
        "ST_KPI_CLIENT_SECRET": SandboxCredentials.CLIENT_SECRET,
        "ST_KPI_APP_KEY": SandboxCredentials.APP_KEY,
        "ST_KPI_TIMEZONE": "America/Phoenix",
        "ST_KPI_API_URL": tenant.url,
        "ST_KPI_AUTH_URL": tenant.url,
        "ST_KPI_WAREHOUSE": f"duckdb:///{tmp_path_factory.mktemp('loaded')}/a.duckdb",
    }
    done = python(MAIN, "backfill", "--entity", "business_units", **environment)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    return environment


@pytest.mark.process
@pytest.mark.parametrize(
    "command",
    [
        "backfill",
        "build",
        "sync",
        pytest.param("sync, nobody there", marks=pytest.mark.slow),  # which tries for a minute
    ],
)
def test_the_last_line_of_a_command_that_failed_is_ours(
    command: str, loaded: dict[str, str], tmp_path: Path
) -> None:
    """Of one whose credentials are wrong, of one whose mapping is broken, of one whose tenant does not answer."""
    (tmp_path / "business_units.csv").write_text(
        "business_unit,rollup,role,valid_from,valid_to\n,,X,,\n"
    )
    (tmp_path / "job_types.csv").write_text("job_type,family\n")
    wrong = {
        "backfill": {"ST_KPI_CLIENT_SECRET": "wrong"},
        "sync": {"ST_KPI_APP_KEY": "wrong"},
        "sync, nobody there": {"ST_KPI_API_URL": "http://127.0.0.1:9"},
        "build": {"ST_KPI_MAPPINGS": str(tmp_path)},
    }
    done = python(MAIN, command.split(",")[0], **loaded | wrong[command])
    assert done.returncode in (1, 2), done.stderr
    assert done.stderr.splitlines()[-1].startswith("st-kpi: "), done.stderr
    assert "ERROR" not in done.stderr
