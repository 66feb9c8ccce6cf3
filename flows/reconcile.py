"""``reconcile``: ServiceTitan's own reports beside the numbers of a week, kept, shown and told."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.parameters import zone_for_a_name
from st_kpi.errors import ConfigurationError, RunFailed, StKpiError
from st_kpi.ingest.session import Session, shared_session
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.reports import read_kinds
from st_kpi.local.process import mute_at_exit
from st_kpi.reporting.published import ALL
from st_kpi.reporting.reconcile.pulled import chosen_report
from st_kpi.reporting.reconcile.result import Reconciliation
from tasks import events
from tasks.artifacts import reconciliation_tables
from tasks.gcp_credentials import google_credentials
from tasks.places import log_places
from tasks.rate_limit import ensure_limits
from tasks.reports import last_week, reconcile_report
from tasks.states import completed, tag_warnings


def _run_name() -> str:
    """For example ``reconcile the week of 2025-10-13``."""
    zone = zone_for_a_name()
    week = flow_run.parameters.get("week") or (last_week(zone) if zone else None)
    return f"reconcile the week of {week}" if week else "reconcile the last week"


@flow(name="reconcile", flow_run_name=_run_name)
async def reconcile(
    kpis: list[str] | None = None,
    week: date | None = None,
    rollup: str = ALL,
    report_id: int | None = None,
) -> list[Reconciliation]:
    """Compare KPIs with ServiceTitan's own reports, row by row, and keep what was found.

    Differences are no failure: they are in the artifacts and in ``st_ops.reconciliations``. Raises
    ``ConfigurationError`` where no report is configured, ``RunFailed`` naming each KPI whose report could not be had.

    Args:
        kpis: Only these; nothing means all for which a report is configured.
        week: Any day of the week; nothing means the last one that is over, and for snapshots that of the last build.
        rollup: Only this one.
        report_id: The report to ask for instead of the one that is configured.
    """
    mute_at_exit()
    async with shared_session(creates=False, google=google_credentials) as session:
        log_places(session.settings)
        reports = _by_report(session, kpis, report_id)
        await ensure_limits()
        results: list[Reconciliation] = []
        failures: list[str] = []
        for name, checked in reports.items():  # one after another: ServiceTitan makes one at a time
            try:
                found, refused = await reconcile_report(name, checked, week, rollup, report_id)
                results += found
                failures += refused
            except StKpiError as error:
                if len(reports) == 1:
                    raise
                failures.append(f"{', '.join(checked)}: {error}")
        order = list(inspect().cards)
        results.sort(key=lambda result: order.index(result.kpi.name))
        await reconciliation_tables(results)
        for result in results:
            events.week_reconciled(result)
        if failures:
            raise RunFailed("\n".join(failures))
        agreeing = sum(result.agrees for result in results)
        if agreeing < len(results):
            await tag_warnings()
        sentence = f"{agreeing} of {len(results)} KPIs agree with their reports, row by row."
        return completed(results, sentence)


def _by_report(
    session: Session, kpis: list[str] | None, report_id: int | None
) -> dict[str, list[str]]:
    """The KPIs to compare by the report that they are compared with: those asked for, or all that can be."""
    project = inspect()
    kinds, configured = read_kinds(project.root), session.settings.reports
    names: dict[str, list[str]] = {}
    for kpi in kpis or list(project.cards):
        try:
            report = chosen_report(kpi, kinds, configured, report_id)
        except ConfigurationError:
            if kpis:
                raise
            continue
        names.setdefault(report.name, []).append(kpi)
    if not names:
        raise ConfigurationError(
            "No report is configured: write under [reports] in st-kpi.toml what yours are called (docs/reconcile.md)."
        )
    return names
