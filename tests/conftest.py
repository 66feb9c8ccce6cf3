"""Fixtures shared by the tests that need a whole tenant."""

import gc
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from xdist.scheduler import LoadScopeScheduling

from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.session import Session, credentials
from st_kpi.local.process import mute_at_exit
from st_kpi.sandbox import Company, SandboxCredentials, create_app, generate_company
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

mute_at_exit()  # the first that is registered is the last to be called

# Each client of Prefect, one for every slot of a limit, reads all certificates that there are: 15 ms. Servers of tests
# speak plain HTTP. Prefect looks here as it is imported, later than this.
os.environ["PREFECT_API_SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "nobody.pem")

#: Fixtures of tests that write their raw rows out.
pytest_plugins = ["tests.support.raw_rows", "tests.support.field"]


@pytest.fixture(autouse=True)
def _settings_of_the_test_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env, no st-kpi.toml, no ST_KPI_* variable and no width of the terminal of the machine."""
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in [name for name in os.environ if name.startswith("ST_KPI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def company() -> Company:
    """A made-up company small enough for a test: 1,613 jobs. Do not change it."""
    return generate_company(seed=7, scale=0.01)


def tenant_settings(url: str = "https://tenant.test", **more: object) -> Settings:
    """Settings for the sandbox tenant at ``url``, which may be asked as fast as it answers."""
    settings = load_settings(
        tenant_id=SandboxCredentials.TENANT_ID,
        client_id=SandboxCredentials.CLIENT_ID,
        client_secret=SandboxCredentials.CLIENT_SECRET,
        app_key=SandboxCredentials.APP_KEY,
        api_url=url,
        auth_url=url,
        timezone="America/Phoenix",
        **more,
    )
    # More than the setting allows: at ServiceTitan's ceiling some tests would wait for half a minute.
    return settings.model_copy(update={"requests_per_second": 10_000})


@asynccontextmanager
async def tenant_session(
    transport: httpx.AsyncBaseTransport, folder: Path, **more: object
) -> AsyncIterator[Session]:
    """A session on an in-memory warehouse whose source is ``transport``."""
    settings = tenant_settings(**more)
    api_url, auth_url = settings.hosts
    warehouse, normalizer = DuckDBWarehouse(":memory:"), Normalizer()
    warehouse.ensure(raw_tables(settings.personal_data))
    source = ServiceTitan(
        credentials(settings),
        api_url=api_url,
        auth_url=auth_url,
        transport=transport,
        requests_per_second=settings.requests_per_second,
    )
    async with source:
        yield Session(settings, warehouse, normalizer, folder, source)
    normalizer.close()
    warehouse.close()


@pytest.fixture
async def session(company: Company, tmp_path: Path) -> AsyncIterator[Session]:
    """A session on the sandbox tenant, over ASGI, without its rate limit in the way."""
    app = create_app(company, requests_per_second=10_000)
    async with tenant_session(httpx.ASGITransport(app), tmp_path) as opened:
        yield opened


def _not_if_fast(config: pytest.Config) -> None:
    """For a test that asks for a server only as it runs, when it is too late to leave it out."""
    if config.getoption("fast"):
        pytest.skip("scripts/test --fast starts no server: mark this test with `process`")


@pytest.fixture(scope="session")
def prefect_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """A real Prefect server for the tests of flows."""
    _not_if_fast(pytestconfig)
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    from st_kpi.local.private_server import prefect_api

    # Prefect read its settings when the test modules were imported.
    with (
        prefect_api() as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        yield url


@pytest.fixture(scope="session")
def bigquery_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of an emulated BigQuery of this worker, which its tests empty in turn."""
    _not_if_fast(pytestconfig)
    from tests.support.bigquery_emulator import HOME, emulator

    if not (HOME / "installed").is_file():
        pytest.skip("there is no BigQuery emulator here: run scripts/emulator")
    with TemporaryDirectory(dir=_memory()) as folder, emulator(Path(folder)) as url:
        yield url


def _memory() -> Path | None:
    """A folder in memory with some room: what the emulator commits is flushed, and nobody needs it on a disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and disk_usage(memory).free > 2**30 else None


#: What starts servers and emulators; ``scripts/test --fast`` leaves out the tests that ask for one.
SERVERS = ("prefect_server", "bigquery_url")
#: Files and folders that share what takes long to make, and so stay on one core each: an emulator whose tables are
#: made, a Prefect server with a first load, an office with its reports. They are minutes, and begin.
TOGETHER = {
    "tests/warehouse/": "emulator",
    "tests/flows/test_daily_sync.py": "first load",
    "tests/flows/test_flows.py": "first load",
    "tests/flows/test_reconcile.py": "first load",
    "tests/reporting/reconcile/": "office",
}


def _together(nodeid: str) -> str | None:
    return next((name for start, name in TOGETHER.items() if nodeid.startswith(start)), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast",
        action="store_true",
        help="leave out what is long or needs a Prefect server, an emulator or processes of its own",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not asked for, and hand out the longest first."""
    reasons = [] if _LIVE else [(_is_live, ON_A_PROJECT)]
    if config.getoption("fast"):
        reasons.append((_is_slow, WITH_SERVERS))
    for is_left_out, reason in reasons:
        left_out = [item for item in items if is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
        config.stash.setdefault(_LEFT_OUT, {})[reason] = len(left_out)
        items[:] = [item for item in items if not is_left_out(item)]
    items.sort(key=_turn)


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist's own way to say which tests stay together
    """The tests of a file run on one core, for else its fixtures would be made on both."""

    def _split_scope(self, nodeid: str) -> str:
        return _together(nodeid) or nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:
    return _ByFile(config, log)


def pytest_collection_finish() -> None:
    """What was imported stays: without this each full collection would look through all of it, a twentieth of the time."""
    gc.collect()
    gc.freeze()


def _is_live(item: pytest.Item) -> bool:
    return item.get_closest_marker("live") is not None


def _is_slow(item: pytest.Item) -> bool:
    asked = getattr(item, "fixturenames", ())
    marked = any(item.get_closest_marker(name) for name in ("slow", "process", "long"))
    return marked or any(name in asked for name in SERVERS)


def _turn(item: pytest.Item) -> int:
    """The longest begin, then what needs servers and processes; the short ones then fill both cores to the end."""
    if _together(item.nodeid):
        return 0
    return 1 if _is_slow(item) else 2


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist hands on what it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """All workers leave out the same."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out."""
    for reason, number in config.stash.get(_LEFT_OUT, {}).items():
        if number:
            terminalreporter.write_line(f"{number} tests {reason}")


#: Read here, for every test begins without any variable of ours.
_LIVE = os.environ.get("ST_KPI_LIVE_BIGQUERY")
ON_A_PROJECT = "on a real BigQuery project left out: set ST_KPI_LIVE_BIGQUERY=bigquery://project"
WITH_SERVERS = (
    "that are long or need a server, an emulator or processes left out: scripts/test runs them all"
)
_LEFT_OUT = pytest.StashKey[dict[str, int]]()
