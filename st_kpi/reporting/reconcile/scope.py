"""Which rows of a report a number is about: the others are set aside, each by a rule that has a name."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from st_kpi.errors import ReportError
from st_kpi.kpis.definitions.reports import Comparison
from st_kpi.kpis.mapping_file import folded
from st_kpi.kpis.mappings import NONE
from st_kpi.reporting import published
from st_kpi.reporting.published import ALL
from st_kpi.reporting.reconcile.table import Report, ReportRow
from st_kpi.reporting.reconcile.units import Units

#: The rules that set rows of other weeks aside, and those that count in another rollup.
OTHER_DAYS, OTHER_ROLLUPS = "on other days", "in other rollups"


@dataclass(frozen=True)
class Scope:
    """What is compared: a KPI's role, in a rollup or all, over a period of days, under the settings of the build.

    ``trusts_period`` is set where the report says that it is of just this period: then rows with other days are in it by
    another date. ``has_units`` is where the report has a column of units, so that a row without one belongs to none.
    """

    role: str
    rollup: str
    period: tuple[dt.date, dt.date]
    trusts_period: bool
    has_units: bool
    units: Units
    excluded_families: Sequence[str]
    minimum: Decimal
    family_of: Callable[[ReportRow], str | None]

    def counts(self, role: str) -> bool:
        """Whether a unit of that role counts."""
        return role in (self.role, "BOTH")


@dataclass
class Aside:
    """The rows that one rule sets aside, and their amounts by measure."""

    rows: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)

    def add(self, rows: int, amounts: Mapping[str, Decimal]) -> None:
        """Count more rows."""
        self.rows += rows
        for measure, amount in amounts.items():
            self.amounts[measure] = self.amounts.get(measure, Decimal(0)) + amount


@dataclass
class Sorted:
    """The rows of a report that are compared, and those that are not.

    ``elsewhere`` are the amounts on other days by key and day, ``units`` those in units that do not count by key, ``told`` a
    word for each of the latter.
    """

    rows: list[ReportRow] = field(default_factory=list)
    aside: dict[str, Aside] = field(default_factory=dict)
    elsewhere: dict[str, dict[dt.date, Decimal]] = field(default_factory=dict)
    units: dict[str, Decimal] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def put_aside(self, row: ReportRow, rule: str) -> None:
        """Note that a rule leaves a row out."""
        self.aside.setdefault(rule, Aside()).add(1, row.amounts)


def add_day(days: dict[str, dict[dt.date, Decimal]], row: ReportRow, day: dt.date) -> None:
    """Add what a row comes to, to the amounts of its key on a day."""
    of_key = days.setdefault(row.key, {})
    of_key[day] = of_key.get(day, Decimal(0)) + row.net


def sort_rows(rows: Sequence[ReportRow], comparison: Comparison, scope: Scope) -> Sorted:
    """Every row, compared or set aside."""
    result, (first, last) = Sorted(), scope.period
    inside: list[tuple[ReportRow, str | None]] = []
    for row in rows:
        if row.day and not scope.trusts_period and not first <= row.day <= last:
            add_day(result.elsewhere, row, row.day)
            result.put_aside(row, OTHER_DAYS)
            continue
        rule = _rule(row, comparison, scope)
        if rule is None and (word := _other_unit(row, scope)):
            rule, result.told[row.key] = word
            result.units[row.key] = result.units.get(row.key, Decimal(0)) + row.net
        inside.append((row, rule))
    small = _small(inside, comparison, scope)
    for row, rule in inside:
        rule = rule or ("below ar_minimum" if row.key in small else None)
        if rule:
            result.put_aside(row, rule)
        else:
            result.rows.append(_counting(row, comparison, scope))
    return result


def _rule(row: ReportRow, comparison: Comparison, scope: Scope) -> str | None:
    """The rule of the KPI's definition by which the row does not count, unit aside."""
    if not row.key:
        return "names no row of ours, such as money that is not applied"
    if row.status is not None:
        status = folded(row.status)
        if comparison.statuses and status not in map(folded, comparison.statuses):
            return f"with the status {row.status}"
        if status in map(folded, comparison.without_statuses):
            return f"with the status {row.status}"
    family = scope.family_of(row)
    if family is None:
        return None
    if family == "none":
        return "of a job type that does not count"
    if comparison.families and family not in comparison.families:
        return f"of other job families than {', '.join(comparison.families)}"
    if family in scope.excluded_families:
        return f"of a job family in {comparison.without_families_in}"
    return None


def _other_unit(row: ReportRow, scope: Scope) -> tuple[str, str] | None:
    """Why the row's unit does not count: the rule, and a word about this row. Units that nobody mapped are not left out."""
    if row.unit is None:
        return ("in no business unit", "there in no business unit") if scope.has_units else None
    days = (row.day, row.day) if row.day else scope.period
    places = scope.units.places(scope.units.ids(row.unit), *days)
    counting = [place for place in places if scope.counts(place.role)]
    there = f"there under {row.unit!r}"
    if places and not counting:
        role = places[0].role
        does = "does not count" if role == NONE else f"is {role}"
        rule = "that do not count" if role == NONE else f"that are {role}"
        return f"in units {rule}", f"{there}, which {does}"
    if scope.rollup == ALL or any(place.rollup == scope.rollup for place in counting):
        return None
    if not counting:
        return "in units that are not mapped", f"{there}, which is not mapped"
    return OTHER_ROLLUPS, f"{there}, of the rollup {counting[0].rollup!r}"


def _counting(row: ReportRow, comparison: Comparison, scope: Scope) -> ReportRow:
    """The row with what counts of it: of other families than those of the numerator, nothing there."""
    families = comparison.numerator_families
    if not families or scope.family_of(row) in families:
        return row
    amounts = {
        measure: Decimal(0) if "numerator" in comparison.measures[measure] else amount
        for measure, amount in row.amounts.items()
    }
    return replace(row, amounts=amounts)


def _small(
    rows: Iterable[tuple[ReportRow, str | None]], comparison: Comparison, scope: Scope
) -> frozenset[str]:
    """The keys whose rows come to less than the minimum together, in whatever rollup they count."""
    if comparison.minimum is None:
        return frozenset()
    sums: dict[str, Decimal] = {}
    for row, rule in rows:
        if rule in (None, OTHER_ROLLUPS):
            sums[row.key] = sums.get(row.key, Decimal(0)) + row.net
    return frozenset(key for key, amount in sums.items() if amount < scope.minimum)


def weeks_in(report: Report, source: str) -> list[dt.date]:
    """The weeks that a report is of, by their Mondays, those that it has in part too.

    Raises ``ReportError`` where it does not say of which days it is.
    """
    days = [row.day for row in report.rows if row.day]
    if report.period:
        first, last = report.period
        days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    mondays = sorted({published.monday(day) for day in days})
    if not mondays:
        raise ReportError(
            f"{source} does not say of which days it is: name the week, --week 2025-01-06."
        )
    return mondays


def why_not_whole(
    report: Report,
    period: tuple[dt.date, dt.date],
    our_days: Callable[[], tuple[dt.date, dt.date] | None] | None,
    source: str,
) -> str | None:
    """Why the report cannot be of the whole period, in a sentence; None where it can.

    ``our_days`` tells the first and the last day of the period on which we count something. A report that goes beyond the
    period on one side and ends within it on the other, while we have rows there, was pulled for fewer days.
    """
    first, last = period
    all_of = f"all of {first} to {last}: pull it for {first:%m/%d/%Y} to {last:%m/%d/%Y}."
    if report.period:
        covers = report.period[0] <= first and last <= report.period[1]
        return (
            None
            if covers
            else f"{source} is of {report.period[0]} to {report.period[1]}, not {all_of}"
        )
    days = [row.day for row in report.rows if row.day]
    if not days:
        return None
    start, end = min(days), max(days)
    if end < first or start > last:
        return f"{source} has rows of {start} to {end}, and none of {first} to {last}."
    ends_within, begins_within = start < first and end < last, end > last and start > first
    ours = our_days() if our_days and (ends_within or begins_within) else None
    if ours and ((ends_within and end < ours[1]) or (begins_within and start > ours[0])):
        return f"{source} has rows of {start} to {end}, which is not {all_of}"
    return None
