"""Fixtures shared by the tests that need a whole tenant."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.session import Session, credentials
from st_kpi.sandbox import Company, Credentials, create_app, generate_company
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

#: Fixtures of tests that write their raw rows out.
pytest_plugins = ["tests.support.raw_rows"]


@pytest.fixture(autouse=True)
def _settings_of_the_test_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env, no st-kpi.toml and no ST_KPI_* variable of the machine."""
    for name in [name for name in os.environ if name.startswith("ST_KPI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def company() -> Company:
    """A made-up company small enough for a test: 1,613 jobs. Do not change it."""
    return generate_company(seed=7, scale=0.01)


def tenant_settings(url: str = "http://tenant.test", **more: object) -> Settings:
    """Settings for the sandbox tenant at ``url``."""
    return load_settings(
        tenant_id=Credentials.TENANT_ID,
        client_id=Credentials.CLIENT_ID,
        client_secret=Credentials.CLIENT_SECRET,
        app_key=Credentials.APP_KEY,
        api_url=url,
        auth_url=url,
        timezone="America/Phoenix",
        **more,
    )


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
        credentials(settings), api_url=api_url, auth_url=auth_url, transport=transport
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


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A real Prefect server for the tests of flows."""
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    from st_kpi.local.private_server import prefect_api

    # Prefect read its settings when the test modules were imported.
    with (
        prefect_api() as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        yield url


@pytest.fixture(scope="session")
def bigquery_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulated BigQuery of this worker, which its tests empty in turn."""
    from tests.support.bigquery_emulator import HOME, emulator

    if not (HOME / "installed").is_file():
        pytest.skip("there is no BigQuery emulator here: run scripts/emulator")
    with emulator(tmp_path_factory.mktemp("bigquery")) as url:
        yield url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on a real project where none is given."""
    if _LIVE:
        return
    live = [item for item in items if item.get_closest_marker("live")]
    if live:
        config.hook.pytest_deselected(items=live)
        items[:] = [item for item in items if item not in set(live)]
        config.stash[_LEFT_OUT] = len(live)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say so."""
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out} tests on a real BigQuery project left out: set ST_KPI_LIVE_BIGQUERY=bigquery://project"
        )


#: Read here, for every test begins without any variable of ours.
_LIVE = os.environ.get("ST_KPI_LIVE_BIGQUERY")
_LEFT_OUT = pytest.StashKey[int]()
