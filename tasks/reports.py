"""A report of ServiceTitan asked for and compared: one call for its data a minute, whatever processes ask."""

import asyncio
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client

from st_kpi.errors import ReportError
from st_kpi.ingest.session import Session, shared_session
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.reports import read_kinds
from st_kpi.reporting import published
from st_kpi.reporting.reconcile.pulled import chosen_report, pull_report
from st_kpi.reporting.reconcile.reconcile import reconcile
from st_kpi.reporting.reconcile.record import save
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.reporting.reconcile.weeks import period_of
from st_kpi.servicetitan.reports import Reports, Turn
from tasks import SERVICETITAN_API, WAREHOUSE_WRITE
from tasks.rate_limit import permits

#: Seconds between two calls for the data of one report.
SECONDS_PER_CALL = 60.0
_ASKS_AGAIN_AFTER = 1.0


@task(
    name="reconcile-report",
    task_run_name="compare {name}",
    tags={SERVICETITAN_API, WAREHOUSE_WRITE},
    cache_policy=NO_CACHE,
)
async def reconcile_report(
    name: str, kpis: list[str], week: date | None, rollup: str, report_id: int | None
) -> tuple[list[Reconciliation], list[str]]:
    """Ask once for a report, compare each KPI that it can check, and keep what was found; and why others could not be.

    ``name`` is that of the settings. Without a ``week`` it is the last one that is over, of snapshots that of the last build.
    Raises the error of a KPI that is the only one.
    """
    async with shared_session() as session:
        published.require_build(session.warehouse)
        tenant = published.tenant_of(session.warehouse, session.settings.tenant_id)
        reports = Reports(session.source, report_turn(tenant))
        results, failures = [], []
        for kpi in kpis:
            try:
                results.append(
                    await _reconcile(session, reports, tenant, kpi, week, rollup, report_id)
                )
            except ReportError as error:
                if len(kpis) == 1:
                    raise
                failures.append(f"{kpi}: {error}")
        return results, failures


async def _reconcile(
    session: Session,
    reports: Reports,
    tenant: int,
    kpi: str,
    week: date | None,
    rollup: str,
    report_id: int | None,
) -> Reconciliation:
    settings, warehouse = session.settings, session.warehouse
    project = await asyncio.to_thread(inspect)
    kinds = read_kinds(project.root)
    chosen = chosen_report(kpi, kinds, settings.reports, report_id)
    (described,) = published.kpis_of(warehouse, kpi)
    if week is None:
        as_of, _ = published.freshness_of(warehouse, tenant)
        week = as_of if described.kind == "snapshot" else last_week(settings.zone)
    days = period_of(warehouse, tenant, described, chosen.comparison(kpi), week)
    report, source = await pull_report(reports, kpi, chosen, days, settings.zone)
    (result,) = await asyncio.to_thread(
        reconcile,
        warehouse,
        kpi,
        report,
        source,
        project,
        settings,
        week=week,
        rollup=rollup,
        tenant_id=tenant,
    )
    await asyncio.to_thread(save, warehouse, result)
    return result


def last_week(zone: ZoneInfo) -> date:
    """The Monday of the last week that is over where the tenant is."""
    return published.monday(datetime.now(zone).date()) - timedelta(days=7)


def report_limit_name(tenant_id: int, report_id: int) -> str:
    """The name of a report's rate limit in Prefect."""
    return f"servicetitan-{tenant_id}-report-{report_id}"


def report_turn(tenant_id: int) -> Turn:
    """What waits until a report may be asked for its data again, by a limit of Prefect that all processes share."""

    async def turn(report_id: int) -> None:
        name = report_limit_name(tenant_id, report_id)
        async with get_client() as client:
            await client.upsert_global_concurrency_limit_by_name(
                name, 1, slot_decay_per_second=1 / SECONDS_PER_CALL
            )
            await permits(
                client,
                name,
                1,
                asks_again_after=_ASKS_AGAIN_AFTER,
                tells=lambda: True,
                waiting=f"Report {report_id} may be asked for its data once a minute: waiting for its turn",
            )

    return turn
