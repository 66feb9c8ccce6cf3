"""A made-up tenant that is loaded and built once, and its reports, which may have known differences."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from st_kpi.kpis.build import build
from st_kpi.reporting.reconcile.downloaded import read_download
from st_kpi.reporting.reconcile.reconcile import reconcile
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.sandbox import Company, Faults, create_app, generate_company, misbehave
from st_kpi.settings import Settings
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.conftest import tenant_settings
from tests.support.reports import KINDS, PROJECT, load_everything, pulled


@dataclass(frozen=True)
class Office:
    """A built warehouse, the company whose it is, and its reports, asked for or downloaded, with faults."""

    company: Company
    warehouse: Warehouse
    settings: Settings

    async def pull(
        self,
        kpi: str,
        week: dt.date,
        *faults: str,
        rollup: str = "All",
        **more: Any,
    ) -> tuple[Reconciliation, dict[str, list[dict[str, Any]]]]:
        """Compare a KPI with the report that the Reporting API gives; and which rows have planted differences."""
        settings = self.settings.model_copy(update=more)
        return await pulled(
            self.warehouse, self.company, settings, kpi, week, *faults, rollup=rollup
        )

    def compare(
        self, kpi: str, file: Path, week: dt.date | None = None, **renamed: str
    ) -> list[Reconciliation]:
        """Compare a KPI with a downloaded report."""
        report, where = read_download(file, kpi, KINDS, renamed=renamed, zone=self.settings.zone)
        return reconcile(self.warehouse, kpi, report, where, PROJECT, self.settings, week=week)

    async def download(self, file: Path, *faults: str, **query: str) -> Path:
        """The report as the office downloads it."""
        app = create_app(self.company, requests_per_second=100_000)
        transport = httpx.ASGITransport(misbehave(app, Faults.parse(faults, 1)))
        async with httpx.AsyncClient(transport=transport, base_url="http://tenant.test") as http:
            answer = await http.get("/sandbox/report-download", params=query)
        assert answer.status_code == 200, answer.text
        file.write_bytes(answer.content)
        return file


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A company of 6,453 jobs; do not change it."""
    company = generate_company(seed=7, scale=0.04)
    folder = tmp_path_factory.mktemp("office")
    warehouse = DuckDBWarehouse(":memory:")
    settings = tenant_settings().model_copy(update={"mappings": PROJECT.root / "mappings"})
    asyncio.run(load_everything(warehouse, company, folder))
    build(warehouse, settings=settings, as_of=company.last_day, run_id="one")
    yield Office(company, warehouse, settings)
    warehouse.close()
