"""Why a row is as it is: causes tried in turn on what the warehouse knows of it; one that does not fit is not named."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from st_kpi.kpis.definitions.reports import Comparison
from st_kpi.reporting.reconcile.compare import Line, Verdict
from st_kpi.reporting.reconcile.facts import DATES, Fact
from st_kpi.reporting.reconcile.units import Units

#: Roles that count for a KPI of one of them.
_BOTH = "BOTH"


@dataclass(frozen=True)
class Context:
    """What causes are judged by: the KPI's rules, the settings, the period, and how far the data and the report reach."""

    comparison: Comparison
    excluded_families: Sequence[str]
    role: str
    period: tuple[dt.date, dt.date]
    units: Units
    facts: Mapping[str, Fact]
    days_here: Mapping[str, tuple[dt.date, ...]]
    elsewhere: Mapping[str, dt.date]
    aside: Mapping[str, str]
    known_until: dt.datetime | None
    pulled_at: dt.datetime
    zone: ZoneInfo


def with_causes(lines: Sequence[Line], context: Context) -> list[Line]:
    """The lines, those that do not match with their cause where one is found."""
    return [
        line
        if line.verdict is Verdict.MATCHED
        else replace(line, cause=_cause(line, context.facts.get(line.key), context))
        for line in lines
    ]


def _cause(line: Line, fact: Fact | None, context: Context) -> str | None:
    if line.verdict is Verdict.ONLY_THERE:
        return _not_here(line, fact, context)
    if line.verdict is Verdict.OTHER_WEEK:
        return _other_week(line, fact, context)
    if line.verdict is Verdict.OTHER_UNIT:
        return _other_unit(line, fact, context) or _changed(fact, context)
    return _changed(fact, context) or (_other_amount(line, fact) if fact else None)


def _not_here(line: Line, fact: Fact | None, context: Context) -> str | None:
    if fact is None:
        return _unknown(line, context)
    if not fact.active:
        return "inactive or deleted here"
    day = fact.dates.get("work_on_local") or line.day_there or context.period[0]
    places = context.units.places([fact.unit_id] if fact.unit_id else [], day)
    if fact.unit_id is None:
        return "has no business unit here"
    if not places:
        return f"its unit {context.units.name(fact.unit_id)!r} is not mapped"
    if not any(place.role in (context.role, _BOTH) for place in places):
        return f"its unit here, {context.units.name(fact.unit_id)!r}, is {places[0].role}"
    return _left_out(fact, context) or _changed(fact, context)


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
    if family in context.excluded_families:
        return f"job family {family!r} is excluded by {comparison.without_families_in}"
    if comparison.families and family and family not in comparison.families:
        return f"its job family here is {family!r}"
    if fact.job_status in comparison.without_statuses:
        return f"its status here is {fact.job_status}"
    return None


def _other_week(line: Line, fact: Fact | None, context: Context) -> str | None:
    """Which date the report goes by, where one of the job's fits."""
    there = context.elsewhere.get(line.key, line.day_there)
    if fact is None:
        return None
    days = context.days_here.get(line.key, ()) or fact.days
    here = f", here on {days[0]}" if days else ""
    first, last = context.period
    # A day out of the period is the one that we go by, and not the one by which the row is in the report.
    is_the_date = there is not None and (line.key in context.elsewhere or first <= there <= last)
    for name, meaning in DATES.items():
        day = fact.dates.get(name)
        fits = day == there if is_the_date else day is not None and first <= day <= last
        if day is not None and fits and day not in days:
            return f"the report goes by {meaning}: {day}{here}"
    return _changed(fact, context) or (f"there on {there}{here}" if there else None)


def _other_unit(line: Line, fact: Fact | None, context: Context) -> str | None:
    if line.key in context.aside:
        return context.aside[line.key]
    if fact and fact.unit_id:
        return f"here under {context.units.name(fact.unit_id)!r}"
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
