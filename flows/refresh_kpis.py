"""``refresh-kpis``: lint the SQL, build dimensions, contributions and rollups, check, publish."""

from datetime import date, datetime

from prefect import flow
from prefect.runtime import flow_run

from st_kpi.build import BuildResult
from st_kpi.session import shared_session
from tasks.artifacts import kpi_table
from tasks.kpis import build_kpis, lint_sql, weekly_kpis


def _run_name() -> str:
    """For example ``KPIs as of 2025-10-21``."""
    return f"KPIs as of {flow_run.parameters.get('as_of') or 'today'}"


@flow(name="refresh-kpis", flow_run_name=_run_name)
async def refresh_kpis(as_of: date | None = None) -> BuildResult:
    """Rebuild every KPI from the raw tables; readers see the last good build until this one is done.

    ``as_of`` is "today" for the snapshots, by default the tenant's. Raises ``ConfigurationError`` for SQL or mappings
    that cannot be used, ``NothingLoaded`` before the first backfill and ``CheckFailed`` when a check fails.
    """
    async with shared_session(reads_source=False) as session:
        today = datetime.now(session.settings.zone).date()
        await lint_sql()
        built = await build_kpis(as_of or today, str(flow_run.id))
        await kpi_table(await weekly_kpis())
        return built
