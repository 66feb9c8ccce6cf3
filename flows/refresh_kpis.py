"""``refresh-kpis``: lint the SQL, build dimensions, contributions and rollups, check, publish."""

import asyncio
from datetime import date, datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.parameters import zone_for_a_name
from st_kpi.ingest.session import shared_warehouse
from st_kpi.kpis.build import BuildResult
from st_kpi.kpis.loaded import require_source_rows
from st_kpi.local.process import mute_at_exit
from tasks import events
from tasks.artifacts import bytes_table, checks_table, kpi_link, kpi_tables, report_link
from tasks.caps import ensure_caps
from tasks.gcp_credentials import google_credentials
from tasks.kpis import build_kpis, check_results, lint_sql, restated_weeks, weekly_kpis
from tasks.places import log_places
from tasks.states import completed, tag_warnings
from tasks.weekly_review import write_report


def _run_name() -> str:
    """For example ``refresh KPIs as of 2025-10-21``."""
    zone = zone_for_a_name()
    today = datetime.now(zone).date() if zone else "today"
    return f"refresh KPIs as of {flow_run.parameters.get('as_of') or today}"


@flow(name="refresh-kpis", flow_run_name=_run_name)
async def refresh_kpis(as_of: date | None = None, full: bool = False) -> BuildResult:
    """Rebuild every KPI from the raw tables; readers see the last good build until this one is done.

    Raises ``ConfigurationError`` for SQL or mappings that cannot be used, ``NothingLoaded`` before the first
    backfill and ``CheckFailed`` when a check fails.

    Args:
        as_of: Today for the snapshots; nothing means the tenant's.
        full: Run every statement, also those whose input has not changed since the last build.
    """
    mute_at_exit()
    async with shared_warehouse(google=google_credentials) as around:
        settings = around.settings
        log_places(settings)
        today = datetime.now(settings.zone).date()
        await asyncio.to_thread(require_source_rows, around.warehouse)
        await ensure_caps()
        await lint_sql()
        run_id = str(flow_run.id)
        try:
            built = await build_kpis(as_of or today, run_id, full)
        finally:  # above all for a build that a check stopped
            await checks_table(await check_results(run_id))
        await kpi_tables(await weekly_kpis())
        await kpi_link(settings.warehouse)
        await bytes_table(built.bytes)
        rows = built.rows.get("st_kpi.contributions", 0)
        warnings = [f"{check.name}: {check.told}" for check in built.checks if not check.passed]
        restated = await restated_weeks(built.number)
        events.weeks_restated(settings.tenant_id, built.number, restated)
        events.kpis_refreshed(
            settings.tenant_id,
            build=built.number,
            run_id=run_id,
            as_of=built.as_of,
            rows=rows,
            warnings=warnings,
        )
        if settings.report_path:
            link = await write_report()
            await report_link(link)
            events.report_written(settings.tenant_id, as_of=built.as_of, link=link)
        if warnings:
            await tag_warnings()
        return completed(built, built.sentence())
