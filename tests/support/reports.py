"""The reports of the made-up tenant as its settings name them, and a warehouse with everything it has."""

from datetime import date
from pathlib import Path
from typing import Any

import httpx

from st_kpi.ingest.chunk import fetch, store
from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.plan import missing_chunks, source_time, wanted_window
from st_kpi.ingest.session import Session, credentials
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.reports import read_kinds
from st_kpi.reporting import published
from st_kpi.reporting.reconcile.pulled import chosen_report, pull_report
from st_kpi.reporting.reconcile.reconcile import reconcile
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.reporting.reconcile.weeks import period_of
from st_kpi.sandbox import Company, Faults, create_app, misbehave
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.reports import Reports
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.settings import ReportSetting, Settings
from st_kpi.warehouse.base import Warehouse
from tests.conftest import tenant_settings

REPORTS = {
    "job_costing": ReportSetting(name="Job Costing", category="operations"),
    "future_bookings": ReportSetting(name="Future Bookings", category="operations"),
    "leads": ReportSetting(name="Leads", category="marketing"),
    "sold_estimates": ReportSetting(name="Sold Estimates", category="operations"),
    "business_unit_sales": ReportSetting(name="Business Unit Sales", category="operations"),
    "collections": ReportSetting(name="Collections", category="accounting"),
    "receivables": ReportSetting(name="Receivables by Location", category="accounting"),
}


PROJECT = inspect()
KINDS = read_kinds(PROJECT.root)


async def pulled(
    warehouse: Warehouse,
    company: Company,
    settings: Settings,
    kpi: str,
    week: date,
    *faults: str,
    rollup: str = "All",
) -> tuple[Reconciliation, dict[str, list[dict[str, Any]]]]:
    """A KPI beside the company's report, which has these faults; and the rows that they touched."""
    app = create_app(company, requests_per_second=100_000, report_seconds=0)
    transport = httpx.ASGITransport(misbehave(app, Faults.parse(faults, 1)))
    api_url, auth_url = settings.hosts
    chosen = chosen_report(kpi, KINDS, REPORTS)
    (described,) = published.kpis_of(warehouse, kpi)
    days = period_of(warehouse, company.tenant_id, described, chosen.comparison(kpi), week)
    async with ServiceTitan(
        credentials(settings),
        api_url=api_url,
        auth_url=auth_url,
        transport=transport,
        sleep=_at_once,
    ) as source:
        reports = Reports(source, _at_once, sleep=_at_once)
        report, where = await pull_report(reports, kpi, chosen, days, settings.zone)
    (result,) = reconcile(
        warehouse, kpi, report, where, PROJECT, settings, week=week, rollup=rollup
    )
    told = app.state.reports.differences.told
    return result, {fault: rows for fault, by in told.items() for rows in by.values()}


async def _at_once(_: float) -> None:
    """Nobody has to wait here."""


async def load_everything(warehouse: Warehouse, company: Company, folder: Path) -> None:
    """The whole history of a company, as a backfill loads it, without its server."""
    settings = tenant_settings()
    warehouse.ensure(raw_tables())
    api_url, auth_url = settings.hosts
    transport = httpx.ASGITransport(create_app(company, requests_per_second=100_000))
    source = ServiceTitan(
        credentials(settings), api_url=api_url, auth_url=auth_url, transport=transport
    )
    async with source:
        normalizer = Normalizer()
        session = Session(settings, warehouse, normalizer, folder, source)
        window = wanted_window(settings, None, None, await source_time(session))
        for entity in REGISTRY.values():
            for chunk in await missing_chunks(session, entity, window):
                store(session, await fetch(session, entity, chunk.window, "load"), "load")
        normalizer.close()
