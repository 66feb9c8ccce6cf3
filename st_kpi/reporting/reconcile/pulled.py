"""A report that is asked of the Reporting API: which one, for which days, and its rows as a report."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from st_kpi.errors import ConfigurationError, ReportError
from st_kpi.kpis.definitions.reports import Comparison, ReportKind, RowKey
from st_kpi.reporting.reconcile.result import Source
from st_kpi.reporting.reconcile.sheets import Line, Sheet
from st_kpi.reporting.reconcile.table import Report, find_report
from st_kpi.servicetitan.reports import ReportData, Reports, Value
from st_kpi.settings import ReportSetting


@dataclass(frozen=True)
class Chosen:
    """The report to ask for, what the settings call it, and the kinds that it may be of, the likeliest first."""

    name: str
    setting: ReportSetting
    kinds: Mapping[str, ReportKind]

    def comparison(self, kpi: str) -> Comparison:
        """How the likeliest kind makes up ``kpi``."""
        return next(iter(self.kinds.values())).kpis[kpi]


def chosen_report(
    kpi: str,
    kinds: Mapping[str, ReportKind],
    configured: Mapping[str, ReportSetting],
    report_id: int | None = None,
) -> Chosen:
    """The report to ask for: that of the id, else the KPI's own, else one of a kind that can check it.

    Of two kinds the one with rows is taken before that with sums. Raises ``ConfigurationError`` where none is configured
    for ``kpi``, saying what to write.
    """
    known = {*kinds, *(name for kind in kinds.values() for name in kind.kpis)}
    if unknown := sorted(configured.keys() - known):
        raise ConfigurationError(
            f"reports.{unknown[0]} in the settings is neither a KPI nor a kind of report; kinds are {', '.join(kinds)}."
        )
    checkers = checking(kpi, kinds)
    if report_id is not None:
        return Chosen(f"report {report_id}", ReportSetting(id=report_id), checkers)
    if kpi in configured:
        return Chosen(kpi, configured[kpi], checkers)
    for name, kind in checkers.items():
        if name in configured:
            return Chosen(name, configured[name], {name: kind})
    name, kind = next(iter(checkers.items()))
    raise ConfigurationError(
        f"No report is configured for {kpi}. Write into st-kpi.toml what yours is called, for example\n\n"
        f'  [reports.{name}]\n  name = "{kind.title}"\n  category = "{kind.category}"\n\n'
        "or name it with --report-id, or compare a download with --report FILE."
    )


def checking(kpi: str, kinds: Mapping[str, ReportKind]) -> dict[str, ReportKind]:
    """The kinds of report that ``kpi`` can be compared with, those with rows first; raises ``ConfigurationError``."""
    checkers = [(name, kind) for name, kind in kinds.items() if kpi in kind.kpis]
    if not checkers:
        comparable = sorted({name for kind in kinds.values() for name in kind.kpis})
        raise ConfigurationError(
            f"No report can be compared with {kpi}; those that can: {', '.join(comparable)}."
        )
    return dict(sorted(checkers, key=lambda each: each[1].key is RowKey.BUSINESS_UNIT))


async def pull_report(
    reports: Reports,
    kpi: str,
    chosen: Chosen,
    days: tuple[dt.date, dt.date],
    zone: ZoneInfo,
) -> tuple[Report, Source]:
    """Ask for the chosen report over ``days``, both included, with the parameters that its kind goes by.

    Raises ``ReportError`` for a report that is gone, asks for what nobody knows, or has other columns.
    """
    setting, kinds = chosen.setting, chosen.kinds
    description = await reports.find(id_=setting.id, name=setting.name, category=setting.category)
    kind, comparison = next(iter(kinds.values())), chosen.comparison(kpi)
    wanted = {**kind.parameters, **comparison.parameters, **setting.parameters}
    values = await reports.values(description, wanted, days)
    pulled_at = dt.datetime.now(dt.UTC)
    data = await reports.data(description, values)
    name = f"report {description.name!r}"
    report = _report(data, kinds, kpi, setting.columns, zone, name)
    report = replace(report, period=days)
    date_type = wanted.get("DateType")
    return report, Source(
        name=name,
        identity=f"report {description.id}, changed {description.modified_on or 'at an unknown time'}",
        filters=_filters(len(data.rows), days, wanted, values),
        pulled_at=pulled_at,
        date_type=str(date_type) if date_type else None,
    )


def _filters(
    rows: int,
    days: tuple[dt.date, dt.date],
    wanted: Mapping[str, Value],
    values: list[dict[str, object]],
) -> str:
    """What was asked for, as a person reads it: the names of values and not their numbers."""
    of_days = {"from", "to", "asof"}
    asked = {str(value["name"]) for value in values}
    others = [f"{n} {v}" for n, v in wanted.items() if n in asked and n.casefold() not in of_days]
    when = f"of {days[0]} to {days[1]}" if days[0] != days[1] else f"as of {days[0]}"
    return ", ".join([f"{rows:,} rows {when}", *others])


def _report(
    data: ReportData,
    kinds: Mapping[str, ReportKind],
    kpi: str,
    renamed: Mapping[str, str],
    zone: ZoneInfo,
    source: str,
) -> Report:
    """The rows under the names of the columns, or where those are others than is known, under their labels."""
    rows = [Line(number, row) for number, row in enumerate(data.rows, 1)]
    names, labels = (
        Sheet(what, (Line(0, headings), *rows))
        for what, headings in (("names", data.names), ("labels", data.labels))
    )
    try:
        return find_report([names], kinds, kpi, renamed=renamed, zone=zone, source=source)
    except ReportError as error:
        try:
            return find_report([labels], kinds, kpi, renamed=renamed, zone=zone, source=source)
        except ReportError:
            raise error from None
