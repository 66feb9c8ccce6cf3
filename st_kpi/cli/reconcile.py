"""``st-kpi reconcile``: a report of ServiceTitan beside our number, kept in the warehouse and printed."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from st_kpi.cli.flow_run import run_flow
from st_kpi.cli.progress import working
from st_kpi.errors import ConfigurationError
from st_kpi.ingest.session import Session
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.kpis.definitions.reports import read_kinds
from st_kpi.reporting.reconcile.downloaded import read_download
from st_kpi.reporting.reconcile.reconcile import reconcile
from st_kpi.reporting.reconcile.record import save
from st_kpi.reporting.reconcile.result import Reconciliation
from st_kpi.settings import Settings
from st_kpi.warehouse import bigquery_options, open_warehouse


def reconcile_file(
    settings: Settings,
    kpi: str,
    file: Path,
    *,
    week: date | None,
    rollup: str,
    renamed: Mapping[str, str],
) -> list[Reconciliation]:
    """Compare ``kpi`` with the report in ``file``, in one week or in each that it has, and keep what was found.

    Raises ``ReportError`` and ``ConfigurationError`` for a file, KPI, week or rollup that cannot be compared; then nothing
    is kept.
    """
    project = inspect()
    zone: ZoneInfo = settings.zone
    report, source = read_download(file, kpi, read_kinds(project.root), renamed=renamed, zone=zone)
    with open_warehouse(
        settings.warehouse, create=False, bigquery=bigquery_options(settings)
    ) as warehouse:
        results = reconcile(
            warehouse,
            kpi,
            report,
            source,
            project,
            settings,
            week=week,
            rollup=rollup,
            tenant_id=settings.tenant_id,
        )
        for result in results:
            save(warehouse, result)
    return results


def reconcile_pulled(
    settings: Settings, kpi: str, *, week: date | None, rollup: str, report_id: int | None
) -> list[Reconciliation]:
    """Ask ServiceTitan for the report, as the flow ``reconcile`` does, and compare ``kpi`` with it."""
    settings.require_credentials()

    async def work(session: Session) -> list[Reconciliation]:
        from flows.reconcile import reconcile

        return await reconcile([kpi], week, rollup, report_id)

    with working("Reconcile"):
        return run_flow(settings, work, creates=False)


def renamed_columns(pairs: list[str]) -> dict[str, str]:
    """``revenue=Net Sales`` by the column; raises ``ConfigurationError`` for what is not written so."""
    columns = {}
    for pair in pairs:
        name, equals, heading = pair.partition("=")
        if not equals or not name.strip() or not heading.strip():
            raise ConfigurationError(
                f'--column {pair!r} does not say which column is meant: write --column revenue="Net Sales".'
            )
        columns[name.strip()] = heading.strip()
    return columns
