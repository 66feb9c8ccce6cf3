"""How a command begins and ends: what it imports, what it says last."""

import os
import re
import signal
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


ROOT = Path(__file__).parents[2]
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


#: Takes away what Windows lacks, of modules for our own code alone: others look first where they are.
WINDOWS = """\
import builtins, errno, os, signal
LACKS = {
    signal: "SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGQUIT pthread_sigmask pthread_kill sigwait",
    os: "geteuid getuid getgid getegid fork setsid killpg getpgid sched_getaffinity chown uname",
    errno: "EDQUOT",
}
for module, names in LACKS.items():
    for name in names.split(): delattr(module, name)
import_module = builtins.__import__
def import_as_there(name, globals=None, *more, **others):
    importer = (globals or {}).get("__name__", "").partition(".")[0]
    if importer in ("st_kpi", "flows", "tasks") and name in ("fcntl", "resource", "pwd", "grp", "termios"):
        raise ModuleNotFoundError(name)
    return import_module(name, globals, *more, **others)
builtins.__import__ = import_as_there
"""
MODULES = [
    ".".join(file.with_suffix("").relative_to(ROOT).parts)
    for package in ("st_kpi", "flows", "tasks")
    for file in sorted((ROOT / package).rglob("*.py"))
    if not file.stem.startswith("__")
]


def test_everything_imports_and_a_command_runs_on_windows() -> None:
    """As far as another system can tell; zone data come with the product, for Windows has none."""
    imports = "import importlib\nfor name in sys.argv[1].split(): importlib.import_module(name)\n"
    command = "sys.argv[1:] = ['show']\n" + MAIN
    done = python(
        f"{WINDOWS}import sys\n{imports}{command}",
        " ".join(MODULES),
        ST_KPI_TIMEZONE="America/Phoenix",
        PYTHONTZPATH="",
    )
    assert done.returncode == 1
    assert re.fullmatch("st-kpi: There is no warehouse at .* yet: .*\n", done.stderr)


def test_what_a_command_starts_for_itself_runs_on_windows() -> None:
    child = (
        "import os, sys\nreader, writer = os.pipe()\nos.dup2(reader, 0)\nsys.argv = ['', 'this']\n"
        "from st_kpi.local import process\nprocess._main()"
    )
    done = python(WINDOWS + child)
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


def test_a_place_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    writes = "from st_kpi.cli.lifecycle import run\nrun(lambda: open('/dev/null/a', 'w'))"
    done = python(writes)
    sentence = "st-kpi: /dev/null/a cannot be used: Not a directory.\n"
    assert (done.returncode, done.stderr) == (1, sentence)


def test_a_folder_that_was_removed_is_one_sentence(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    leaves = (
        f"import os\nos.mkdir({str(gone)!r})\nos.chdir({str(gone)!r})\nos.rmdir({str(gone)!r})\n"
    )
    done = python(leaves + MAIN, "show")
    assert (done.returncode, done.stderr) == (
        2,
        "st-kpi: The folder that this was started in is not there any more: change to another one.\n",
    )


@pytest.mark.process
def test_a_tenant_that_does_not_answer_is_told_of_at_the_first_attempt() -> None:
    """Not a minute later, when all of them have failed; a private server's start is told of, too."""
    settings = {
        "ST_KPI_TENANT_ID": "1",
        "ST_KPI_CLIENT_ID": "a",
        "ST_KPI_CLIENT_SECRET": "b",
        "ST_KPI_APP_KEY": "c",
        "ST_KPI_TIMEZONE": "America/Phoenix",
        "ST_KPI_API_URL": "http://127.0.0.1:9",
        "ST_KPI_AUTH_URL": "http://127.0.0.1:9",
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "ST_KPI_"))}
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "backfill"],
        env=inherited | settings,
        stderr=subprocess.PIPE,
        text=True,
    ) as backfill:
        assert backfill.stderr
        said = []
        for line in backfill.stderr:
            said.append(line)
            if "attempt 1 failed" in line:
                break
        backfill.send_signal(signal.SIGINT)
        said += backfill.stderr
    assert backfill.returncode == 130, said
    assert said[1].startswith("Starting a private Prefect server")
    assert any("attempt 1 failed with ConnectError" in line for line in said), said


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
