"""A tenant that the flows have loaded once in a run of the tests, and a copy of it for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.backfill import backfill
from st_kpi.ingest.session import Session, open_session
from st_kpi.sandbox import Company, generate_company
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.warehouse.base import Warehouse
from tasks.watermarks import save_watermarks
from tests.conftest import tenant_settings
from tests.support.tenant import Tenant

#: Opens a tenant that is loaded: ``async with loaded("a-fault", entities=["jobs"]) as (tenant, session)``.
Loaded = Callable[..., AbstractAsyncContextManager[tuple[Tenant, Session]]]


@dataclass(frozen=True)
class FirstLoad:
    """A warehouse file as a backfill of everything left it; its run, and the rows that it told of as it went on."""

    file: Path
    run_id: str
    promised: int
    stored: int


def loaded_company() -> Company:
    """The company of the first load, as it was then: 1,613 jobs. Each call makes another one, to be changed at will."""
    return generate_company(seed=7, scale=0.01)


@pytest.fixture(scope="session")
def first_load(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> FirstLoad:
    """Do not change its file: take a copy."""
    return asyncio.run(_load(tmp_path_factory.mktemp("first-load") / "kpi.duckdb"))


async def _load(file: Path) -> FirstLoad:
    rows = {"promised": 0, "stored": 0}

    def count(entity: str, promised: int, stored: int) -> None:
        rows["promised"] += promised
        rows["stored"] += stored

    with Tenant(loaded_company()) as tenant:
        settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{file}")
        async with open_session(settings, count):
            run_id = await backfill()
    return FirstLoad(file, run_id, **rows)


@pytest.fixture
def loaded(first_load: FirstLoad, tmp_path: Path) -> Loaded:
    """Opens the loaded tenant in ``kpi.duckdb`` of the test's folder; it misbehaves from then on.

    Where ``entities`` are named, only those are loaded; ``more`` are settings.
    """

    @asynccontextmanager
    async def opened(
        *faults: str, entities: list[str] | None = None, **more: object
    ) -> AsyncIterator[tuple[Tenant, Session]]:
        file = shutil.copy(first_load.file, tmp_path / "kpi.duckdb")
        with Tenant(loaded_company(), *faults) as tenant:
            settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{file}", **more)
            async with open_session(settings) as session:
                _unload(session.warehouse, set(REGISTRY) - set(entities or REGISTRY))
                # As the backfill left them; meanwhile they may be those of another test's company.
                await save_watermarks([REGISTRY[name] for name in entities or REGISTRY])
                yield tenant, session

    return opened


def _unload(warehouse: Warehouse, entities: set[str]) -> None:
    """Leave nothing of these entities, as though they had never been asked for."""
    for name in sorted(entities):
        for table in (name, REGISTRY[name].lines):
            if table:
                warehouse.execute(f"DELETE FROM st_raw.{table} WHERE TRUE")
        for table in ("chunks", "watermarks"):
            warehouse.execute(f"DELETE FROM st_ops.{table} WHERE entity = @name", {"name": name})
