"""A report that somebody downloaded: the file as a report, and where it came from."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from st_kpi.errors import ConfigurationError, ReportError
from st_kpi.kpis.definitions.reports import ReportKind
from st_kpi.reporting.reconcile.pulled import checking
from st_kpi.reporting.reconcile.result import Source
from st_kpi.reporting.reconcile.sheets import read_sheets
from st_kpi.reporting.reconcile.table import Report, find_report


def read_download(
    file: Path,
    kpi: str,
    kinds: Mapping[str, ReportKind],
    *,
    renamed: Mapping[str, str],
    zone: ZoneInfo,
) -> tuple[Report, Source]:
    """The report in ``file`` that ``kpi`` can be compared with; ``renamed`` has headings by our name of the column.

    It was pulled when the file says, else when the file was written. Raises ``ReportError`` for a file that is no such
    report, ``ConfigurationError`` for a KPI that no kind of report can check and for a column that no kind has.
    """
    checkers = checking(kpi, kinds)
    columns = {name for kind in checkers.values() for name in kind.columns}
    for name in renamed:
        if name not in columns:
            raise ConfigurationError(
                f"--column {name}: a report for {kpi} has the columns {', '.join(sorted(columns))}."
            )
    sheets = read_sheets(file)
    report = find_report(sheets, checkers, kpi, renamed=renamed, zone=zone, source=file.name)
    if not report.rows:
        raise ReportError(
            f"{file.name} has no rows: save the report of days on which there was something."
        )
    return report, _source(file, report, zone)


def _source(file: Path, report: Report, zone: ZoneInfo) -> Source:
    try:
        written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ReportError(f"{file} cannot be read: {error.strerror}.") from None
    pulled = written
    if report.pulled_on and report.pulled_on != written.astimezone(zone).date():
        pulled = dt.datetime.combine(report.pulled_on, dt.time(), zone).astimezone(dt.UTC)
    days = report.period or tuple(row.day for row in report.rows if row.day)
    of = f", of {min(days)} to {max(days)}" if days else ""
    return Source(
        name=file.name,
        identity=f"sha256:{digest}",
        filters=f"{report.kind.title}, {len(report.rows):,} rows{of}",
        pulled_at=pulled,
    )
