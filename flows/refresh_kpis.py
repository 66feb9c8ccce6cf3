"""``refresh-kpis``: lint the SQL, build dimensions, contributions and rollups, check, publish."""

from datetime import date, datetime

from prefect import flow
from prefect.runtime import flow_run

from st_kpi.build import BuildResult
from st_kpi.session import shared_session
from tasks.artifacts import bytes_table, checks_table, kpi_table
from tasks.kpis import build_kpis, check_results, lint_sql, weekly_kpis


def _run_name() -> str:
    """For example ``KPIs as of 2025-10-21``."""
    return f"KPIs as of {flow_run.parameters.get('as_of') or 'today'}"


@flow(name="refresh-kpis", flow_run_name=_run_name)
async def refresh_kpis(as_of: date | None = None, full: bool = False) -> BuildResult:
    """Rebuild every KPI from the raw tables; readers see the last good build until this one is done.

    ``as_of`` is "today" for the snapshots, by default the tenant's. ``full`` runs every statement, also
    those whose input has not changed since the last build. Raises ``ConfigurationError`` for SQL or mappings
    that cannot be used, ``NothingLoaded`` before the first backfill and ``CheckFailed`` when a check fails.
    """
    async with shared_session(reads_source=False) as session:
        today = datetime.now(session.settings.zone).date()
        await lint_sql()
        run_id = str(flow_run.id)
        try:
            built = await build_kpis(as_of or today, run_id, full)
        finally:  # above all for a build that a check stopped
            await checks_table(await check_results(run_id))
        await kpi_table(await weekly_kpis())
        await bytes_table(built.bytes)
        return built
