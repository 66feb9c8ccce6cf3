"""Linting, building and reading the KPIs."""

import asyncio
from datetime import date

from prefect import task
from prefect.assets import Asset, materialize
from prefect.cache_policies import NO_CACHE

from st_kpi.ingest.session import shared_warehouse
from st_kpi.kpis.build import BuildResult, build
from st_kpi.kpis.checks import results_of
from st_kpi.kpis.definitions.lint import lint, refuse
from st_kpi.kpis.history.restatements import RestatedWeek, restatements_of
from st_kpi.reporting import published
from st_kpi.servicetitan.registry import REGISTRY
from tasks import WAREHOUSE_WRITE, raw_asset


@task(name="lint-sql", task_run_name="lint the SQL", cache_policy=NO_CACHE)
async def lint_sql() -> None:
    """Stop before anything runs when the SQL breaks a rule."""
    refuse(await asyncio.to_thread(lint))


#: What a build reads and makes, as Prefect's assets; only Prefect Cloud shows them.
_RAW = [raw_asset(entity) for entity in REGISTRY]
_PUBLISHED = [
    f"warehouse://st_kpi/{table}"
    for table in ("contributions", "kpi_daily", "kpi_weekly", "kpi_weekly_wide", "kpi_reported")
]


@materialize(
    *_PUBLISHED,
    asset_deps=list[str | Asset](_RAW),
    name="build-kpis",
    task_run_name="build the KPIs as of {as_of}",
    tags={WAREHOUSE_WRITE},
    cache_policy=NO_CACHE,
)
async def build_kpis(as_of: date, run_id: str, full: bool = False) -> BuildResult:
    """Build and publish every KPI in one transaction."""
    async with shared_warehouse() as around:
        return await asyncio.to_thread(
            build,
            around.warehouse,
            settings=around.settings,
            as_of=as_of,
            run_id=run_id,
            full=full,
        )


@task(name="read-checks", task_run_name="read the checks", cache_policy=NO_CACHE)
async def check_results(run_id: str) -> list[dict[str, object]]:
    """What the checks of one build found, those that do not hold first."""
    async with shared_warehouse() as around:
        return await asyncio.to_thread(results_of, around.warehouse, run_id)


@task(name="read-weekly-kpis", task_run_name="read the weekly KPIs", cache_policy=NO_CACHE)
async def weekly_kpis() -> dict[str, list[dict[str, str]]]:
    """The last weeks as a person reads them, a row per KPI in their order: of all rollups together, then of each."""
    async with shared_warehouse() as around:
        numbers = await asyncio.to_thread(
            published.read, around.warehouse, tenant_id=around.settings.tenant_id
        )
    rollups = sorted(numbers.rollups, key=lambda rollup: rollup != published.ALL)
    return {
        rollup: [
            {"KPI": kpi.title}
            | {
                str(week): kpi.format(numbers.value(kpi, week, rollup))
                for week in sorted(numbers.weeks, reverse=True)  # the newest is in sight
            }
            for kpi in numbers.kpis
        ]
        for rollup in rollups
    }


@task(name="read-restated-weeks", task_run_name="read the restated weeks", cache_policy=NO_CACHE)
async def restated_weeks(build: int) -> list[RestatedWeek]:
    """The closed weeks whose numbers a build changed."""
    async with shared_warehouse() as around:
        return await asyncio.to_thread(restatements_of, around.warehouse, build)
