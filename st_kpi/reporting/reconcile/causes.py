"""Why a row is as it is: causes tried in turn on what the warehouse knows of it; one that does not fit is not named."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from st_kpi.kpis.definitions.reports import Comparison, RowKey
from st_kpi.reporting.published import ALL
from st_kpi.reporting.reconcile.compare import Line, Sides, Verdict
from st_kpi.reporting.reconcile.facts import DATES, Fact
from st_kpi.reporting.reconcile.scope import Scope


@dataclass(frozen=True)
class Context:
    """What causes are judged by: the KPI's rules and what lies beside its rows, and how far the data and the report reach.

    ``told`` has a word for each key that the report has in units that do not count.
    """

    comparison: Comparison
    scope: Scope
    sides: Sides
    facts: Mapping[str, Fact]
    told: Mapping[str, str]
    known_until: dt.datetime | None
    pulled_at: dt.datetime
    zone: ZoneInfo


def with_causes(lines: Sequence[Line], context: Context) -> list[Line]:
    """The lines, those that do not match with their cause where one is found."""
    swapped: dict[str, list[Line]] = {}
    for line in lines:
        if line.verdict is Verdict.OTHER_UNIT:
            swapped.setdefault(line.key, []).append(line)
    return [
        line
        if line.verdict is Verdict.MATCHED
        else replace(line, cause=_cause(line, swapped.get(line.key, ()), context))
        for line in lines
    ]


def _cause(line: Line, swapped: Sequence[Line], context: Context) -> str | None:
    fact = context.facts.get(line.key)
    if context.sides.key is RowKey.BUSINESS_UNIT and (word := _remapped(line, context)):
        return word
    if line.verdict is Verdict.ONLY_THERE:
        return _not_here(line, fact, context)
    if line.verdict is Verdict.OTHER_WEEK:
        return _other_week(line, fact, context)
    if line.verdict is Verdict.OTHER_UNIT:
        return _other_unit(line, swapped, fact, context) or _changed(fact, context)
    return _changed(fact, context) or (_other_amount(line, fact) if fact else None)


def _remapped(line: Line, context: Context) -> str | None:
    """A unit that counts on some days of the period alone: a report of sums cannot tell them apart."""
    scope, ids = context.scope, context.scope.units.ids(line.key)
    for id_ in ids:
        stretches = scope.units.places([id_], *scope.period)
        if (
            len(
                {
                    (s.rollup if scope.rollup != ALL else None, scope.counts(s.role))
                    for s in stretches
                }
            )
            > 1
        ):
            days = ", ".join(str(s.first) for s in stretches if s.first > scope.period[0])
            return f"its mapping changes within the week, on {days}"
    return None


def _not_here(line: Line, fact: Fact | None, context: Context) -> str | None:
    if fact is None:
        return _unknown(line, context)
    if not fact.active:
        return "inactive or deleted here"
    if context.sides.key is not RowKey.LOCATION and (word := _no_place(line, fact, context.scope)):
        return word
    return _left_out(fact, context) or _changed(fact, context)


def _no_place(line: Line, fact: Fact, scope: Scope) -> str | None:
    """Why the unit that a thing has here does not count."""
    if fact.unit_id is None:
        return "has no business unit here"
    name = scope.units.name(fact.unit_id)
    day = fact.dates.get("work_on_local") or line.day_there or scope.period[0]
    places = scope.units.places([fact.unit_id], day)
    if not places:
        return f"its unit {name!r} is not mapped"
    if not any(scope.counts(place.role) for place in places):
        return f"its unit here, {name!r}, is {places[0].role}"
    return None if fact.has_job else "belongs to no job"


def _unknown(line: Line, context: Context) -> str:
    until = context.known_until
    if until is None:
        return "not loaded yet"
    after = line.day_there is None or line.day_there >= until.astimezone(context.zone).date()
    if after and until < context.pulled_at:
        return "not loaded yet: newer than our data"
    return "not known here"


def _left_out(fact: Fact, context: Context) -> str | None:
    """The rule of the KPI that leaves the thing out."""
    comparison, family = context.comparison, fact.family
    if fact.is_test_customer and comparison.without_test_customers:
        return "test customer"
    if family in context.scope.excluded_families:
        return f"job family {family!r} is excluded by {comparison.without_families_in}"
    if comparison.families and family and family not in comparison.families:
        return f"its job family here is {family!r}"
    if fact.job_status in comparison.without_statuses:
        return f"its status here is {fact.job_status}"
    return None


def _other_week(line: Line, fact: Fact | None, context: Context) -> str | None:
    """Which date the report goes by, where one of the job's fits."""
    other = context.sides.other_day(line)
    if not context.sides.key.is_one_thing:
        return f"{'here' if line.net > 0 else 'there'} on {other}"
    if fact is None:
        return None
    there = line.day_there if line.numbers else other
    days = tuple(context.sides.days_here.get(line.key, ())) or tuple(fact.days)
    here = f", here on {days[0]}" if days else ""
    first, last = context.scope.period
    # A day out of the period is the one that we go by, and not the one by which the row is in the report.
    is_the_date = there is not None and (not line.numbers or first <= there <= last)
    for name, meaning in DATES.items():
        day = fact.dates.get(name)
        fits = day == there if is_the_date else day is not None and first <= day <= last
        if day is not None and fits and day not in days:
            return f"the report goes by {meaning}: {day}{here}"
    return _changed(fact, context) or (f"there on {there}{here}" if there else None)


def _other_unit(
    line: Line, swapped: Sequence[Line], fact: Fact | None, context: Context
) -> str | None:
    if line.key in context.told and not line.numbers:
        return context.told[line.key]
    across = [other.unit for other in swapped if bool(other.numbers) != bool(line.numbers)]
    if across:
        where = "here" if line.numbers else "there"
        return f"{where} under {', '.join(repr(unit) for unit in across)}"
    if fact and fact.unit_id:
        return f"here under {context.scope.units.name(fact.unit_id)!r}"
    return None


def _other_amount(line: Line, fact: Fact) -> str | None:
    """Tax and adjustments: what is known of the invoices of a job."""
    if line.differing != ("revenue",):
        return None
    residual = line.residual("revenue")
    if fact.tax and residual == fact.tax:
        return "the report's revenue is with tax"
    if fact.adjustments and residual == -fact.adjustments:
        return "the report leaves adjustment invoices out"
    return None


def _changed(fact: Fact | None, context: Context) -> str | None:
    if fact and fact.changed_at and fact.changed_at > context.pulled_at:
        return "changed since the report was pulled"
    return None
