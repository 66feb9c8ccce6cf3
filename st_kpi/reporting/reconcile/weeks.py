"""What is asked of a comparison, and the weeks of a report that it can be asked of."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from st_kpi.errors import ReportError
from st_kpi.kpis.definitions.reports import Comparison, RowKey
from st_kpi.reporting import published
from st_kpi.reporting.published import Kpi
from st_kpi.reporting.reconcile.result import Source
from st_kpi.reporting.reconcile.scope import weeks_in, why_not_whole
from st_kpi.reporting.reconcile.table import Report
from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class Asked:
    """What is compared with what, found in the warehouse, under the settings of the build."""

    tenant: int
    kpi: Kpi
    rollup: str
    report: Report
    source: Source
    as_of: dt.date
    known_until: dt.datetime | None
    params: Mapping[str, object]

    @property
    def comparison(self) -> Comparison:
        return self.report.kind.kpis[self.kpi.name]

    @property
    def has_days(self) -> bool:
        return "day" in self.report.has


@dataclass(frozen=True)
class Week:
    """A week to compare: its Monday, the days that the report has to be of, and the day of a snapshot."""

    monday: dt.date
    period: tuple[dt.date, dt.date]
    day: dt.date | None


def weeks_of(
    warehouse: Warehouse, asked: Asked, week: dt.date | None
) -> tuple[list[Week], tuple[str, ...]]:
    """The week of ``week``, else each week that the report has whole, and why it has not the others.

    Raises ``ReportError`` where it has none.
    """
    if asked.kpi.kind == "snapshot":
        mondays = [published.monday(week or asked.as_of)]
    else:
        mondays = [published.monday(week)] if week else weeks_in(asked.report, asked.source.name)
    if week or len(mondays) == 1:
        published.weeks_of(warehouse, asked.tenant, mondays[0], 1, asked.as_of)
    weeks, reasons = [], []
    for monday in mondays:
        day = _measured_day(warehouse, asked.tenant, asked.kpi, monday)
        if day and day != asked.as_of and asked.report.kind.key is RowKey.LOCATION:
            raise ReportError(
                f"What each location owes is kept for the last day alone: compare {asked.kpi.title} of {asked.as_of}."
            )
        period = _period(asked.comparison, monday, day)
        ask = None if day else partial(_our_days, warehouse, asked, period)
        if reason := why_not_whole(asked.report, period, ask, asked.source.name):
            reasons.append(reason)
        else:
            weeks.append(Week(monday, period, day))
    if not weeks:
        raise ReportError(reasons[0])
    return weeks, tuple(reasons)


def _measured_day(warehouse: Warehouse, tenant: int, kpi: Kpi, monday: dt.date) -> dt.date | None:
    """The day of the week for which a snapshot was measured last; None for other KPIs."""
    if kpi.kind != "snapshot":
        return None
    week = (monday, monday + dt.timedelta(days=6))
    day: dt.date | None = warehouse.query(
        "SELECT MAX(day) AS day FROM st_kpi.snapshot_days WHERE tenant_id = @tenant_id"
        " AND kpi = @kpi AND day BETWEEN @first_day AND @last_day",
        _in_period(tenant, kpi, week),
    )[0]["day"]
    if day is None:
        raise ReportError(
            f"{kpi.title} was not measured in the week of {monday}: there is nothing to compare."
        )
    return day


def _our_days(
    warehouse: Warehouse, asked: Asked, period: tuple[dt.date, dt.date]
) -> tuple[dt.date, dt.date] | None:
    """The first and the last day of the period on which something of ours counts."""
    row = warehouse.query(
        "SELECT MIN(on_date) AS first, MAX(on_date) AS last FROM st_kpi.contributions"
        " WHERE tenant_id = @tenant_id AND kpi = @kpi AND on_date BETWEEN @first_day AND @last_day",
        _in_period(asked.tenant, asked.kpi, period),
    )[0]
    return (row["first"], row["last"]) if row["first"] else None


def _in_period(tenant: int, kpi: Kpi, period: tuple[dt.date, dt.date]) -> dict[str, object]:
    return {
        "tenant_id": tenant,
        "kpi": kpi.name,
        "first_day": period[0],
        "last_day": period[1],
    }


def period_of(
    warehouse: Warehouse, tenant: int, kpi: Kpi, comparison: Comparison, week: dt.date
) -> tuple[dt.date, dt.date]:
    """The days for which to pull a report for the week of ``week``; raises ``ReportError`` for a snapshot not measured."""
    monday = published.monday(week)
    return _period(comparison, monday, _measured_day(warehouse, tenant, kpi, monday))


def _period(comparison: Comparison, week: dt.date, day: dt.date | None) -> tuple[dt.date, dt.date]:
    """The days that a report has to be of: the week, of a snapshot its day, or the year that it looks ahead."""
    if day is None:
        return week, week + dt.timedelta(days=6)
    if comparison.looks_ahead:
        return week, _next_year(day)
    return day, day


def _next_year(day: dt.date) -> dt.date:
    """The same day a year later; of February 29, the 28."""
    if (day.month, day.day) == (2, 29):
        return dt.date(day.year + 1, 2, 28)
    return day.replace(year=day.year + 1)
