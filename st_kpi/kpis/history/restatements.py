"""What was reported when a week closed, and every later change of it: ``st_kpi.kpi_reported``.

A week closes ``close_week_after_days`` after its Sunday, judged by the day the build is for (not by
the clock), and not before the data reach its end: what is unknown is not reported as zero. The first build after that freezes the week's values as *reported*; the first build ever
freezes all closed weeks. Frozen rows are never changed: when a later build publishes another value
for a frozen week, a *restatement* with the new value and its causes is added. A cell that had no
rows when its week closed was zero then, and has no *reported* row.

Snapshots (Future Bookings, Outstanding A/R) have a value only for days on which they were measured.
``may_measure`` is the rule that keeps a rebuild of a past day from inventing one.
"""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from st_kpi.kpis.definitions.lint import Project
from st_kpi.kpis.history.statements import run
from st_kpi.warehouse.base import Warehouse

REPORTED = "st_kpi.kpi_reported"

#: How long before the as-of day the data of a snapshot may end: a sync of the evening, a build after midnight.
OLDEST_DATA = dt.timedelta(days=1)

#: The statements of ``kpi_sql/history`` in their order: what is reported now must not be restated at once.
AT_THE_END = ("restatements", "reported", "reported_weeks")


@dataclass(frozen=True)
class Measured:
    """A day on which snapshots were measured, and until when the rows they were made of were known."""

    day: dt.date
    input_watermark: dt.datetime | None


def may_measure(
    as_of: dt.date,
    *,
    last: Measured | None,
    input_watermark: dt.datetime | None,
    zone: ZoneInfo,
) -> bool:
    """Whether a build for the local day ``as_of`` may write that day's snapshots.

    It may for a day after the ``last`` measured one. It may not for an earlier day: what was not
    measured then is never filled in, and what was is never overwritten. The last measured day itself
    may be measured again while the rows are still that day's, or of the same local day as those it
    was measured from; from rows of a later day it would be invented history. Nor may it from rows
    that end before the day before: what was owed on a day is not known from those of a month ago.
    """
    newest = input_watermark.astimezone(zone).date() if input_watermark else None
    if newest is not None and newest < as_of - OLDEST_DATA:
        return False
    if last is None or as_of > last.day:
        return True
    if as_of < last.day:
        return False
    if newest is None:
        return True
    measured_from = last.input_watermark.astimezone(zone).date() if last.input_watermark else as_of
    return newest <= max(as_of, measured_from)


def last_measured(warehouse: Warehouse) -> Measured | None:
    """The newest day on which snapshots were measured."""
    if not warehouse.table_exists("st_kpi.snapshot_days"):
        return None
    rows = warehouse.query(
        "SELECT day, MIN(input_watermark) AS input_watermark FROM st_kpi.snapshot_days"
        " GROUP BY day ORDER BY day DESC LIMIT 1"
    )
    return Measured(rows[0]["day"], rows[0]["input_watermark"]) if rows else None


@dataclass(frozen=True)
class RestatedWeek:
    """A closed week whose values changed in a build: which KPIs, and why."""

    week_start: dt.date
    kpis: list[str]
    causes: list[str]


def restatements_of(warehouse: Warehouse, build: int) -> list[RestatedWeek]:
    """The weeks that a build restated, oldest first."""
    rows = warehouse.query(
        f"SELECT week_start, kpi, cause FROM {REPORTED}"
        " WHERE kind = 'restatement' AND build = @build ORDER BY week_start, kpi",
        {"build": build},
    )
    weeks: dict[dt.date, list[tuple[str, str]]] = {}
    for row in rows:
        weeks.setdefault(row["week_start"], []).append((row["kpi"], row["cause"] or ""))
    return [
        RestatedWeek(
            week,
            list(dict.fromkeys(kpi for kpi, _ in cells)),
            sorted({cause for _, causes in cells for cause in causes.split(", ") if cause}),
        )
        for week, cells in weeks.items()
    ]


def closed_until(
    as_of: dt.date, close_after_days: int, input_watermark: dt.datetime | None, zone: ZoneInfo
) -> dt.date:
    """The day up to which a week that starts is closed: long enough past, and known to its end."""
    last = as_of - dt.timedelta(days=close_after_days + 6)
    if input_watermark is None:
        return last
    return min(last, input_watermark.astimezone(zone).date() - dt.timedelta(days=7))


def freeze(
    warehouse: Warehouse,
    project: Project,
    *,
    build: int,
    run_id: str,
    as_of: dt.date,
    closed_until: dt.date,
) -> None:
    """Add restatements of frozen weeks, then freeze those that have closed, started until ``closed_until``."""
    params = {
        "build": build,
        "run_id": run_id,
        "as_of": as_of,
        "closed_until": closed_until,
    }
    run(warehouse, project.history, AT_THE_END, params)
