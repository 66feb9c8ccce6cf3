"""What was reported when a week closed, and every later change of it: ``st_kpi.kpi_reported``.

A week closes ``close_week_after_days`` after its Sunday, judged by the day the build is for (not by
the clock). The first build after that freezes the week's values as *reported*; the first build ever
freezes all closed weeks. Frozen rows are never changed: when a later build publishes another value
for a frozen week, a *restatement* with the new value and its causes is added. A cell that had no
rows when its week closed was zero then, and has no *reported* row.

Snapshots (Future Bookings, Outstanding A/R) have a value only for days on which they were measured.
``may_measure`` is the rule that keeps a rebuild of a past day from inventing one.
"""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from st_kpi.kpis.history.attribution_sql import KPI_CHANGES
from st_kpi.warehouse.base import Warehouse

REPORTED = "st_kpi.kpi_reported"
WEEKS = "st_ops.reported_weeks"

_CELL = "tenant_id, kpi, `rollup`, role, week_start"
_COLUMNS = (
    f"{_CELL}, numerator, denominator, value, reported_as_of, run_id, definition_version, kind,"
    " cause, input_watermark, build"
)


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
    was measured from; from rows of a later day it would be invented history.
    """
    if last is None or as_of > last.day:
        return True
    if as_of < last.day:
        return False
    if input_watermark is None:
        return True
    known = input_watermark.astimezone(zone).date()
    then = last.input_watermark.astimezone(zone).date() if last.input_watermark else as_of
    return known <= max(as_of, then)


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
class Restated:
    """A closed week whose values changed in a build: which KPIs, and why."""

    week_start: dt.date
    kpis: list[str]
    causes: list[str]


def restated(warehouse: Warehouse, build: int) -> list[Restated]:
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
        Restated(
            week,
            list(dict.fromkeys(kpi for kpi, _ in cells)),
            sorted({cause for _, told in cells for cause in told.split(", ") if cause}),
        )
        for week, cells in weeks.items()
    ]


def freeze(
    warehouse: Warehouse, *, build: int, run_id: str, as_of: dt.date, close_after_days: int
) -> None:
    """Add restatements of frozen weeks, then freeze the weeks that have closed since."""
    params = {
        "build": build,
        "run_id": run_id,
        "as_of": as_of,
        "closed_until": as_of - dt.timedelta(days=close_after_days + 6),
    }
    warehouse.execute(_RESTATE, params)
    warehouse.execute(_REPORT, params)
    warehouse.execute(_CLOSE, params)


#: Frozen weeks in which the value last told, reported or restated, is not the one published now.
_RESTATE = f"""
INSERT INTO {REPORTED} ({_COLUMNS})
WITH told AS (
  SELECT {_CELL}, numerator, denominator
  FROM {REPORTED}
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY {_CELL} ORDER BY build DESC) = 1
),
published AS (
  SELECT cell.tenant_id, cell.kpi, cell.`rollup`, cell.role, cell.week_start,
    cell.numerator, cell.denominator, cell.value, cell.definition_version, cell.input_watermark
  FROM st_kpi.kpi_weekly AS cell
  JOIN {WEEKS} AS frozen
    ON frozen.tenant_id = cell.tenant_id AND frozen.kpi = cell.kpi AND frozen.week_start = cell.week_start
),
both_states AS (
  SELECT
    COALESCE(published.tenant_id, told.tenant_id) AS tenant_id,
    COALESCE(published.kpi, told.kpi) AS kpi,
    COALESCE(published.`rollup`, told.`rollup`) AS `rollup`,
    COALESCE(published.role, told.role) AS role,
    COALESCE(published.week_start, told.week_start) AS week_start,
    COALESCE(published.numerator, CAST(0 AS NUMERIC)) AS numerator,
    COALESCE(published.denominator, IF(told.denominator IS NULL, NULL, CAST(0 AS NUMERIC))) AS denominator,
    published.value,
    published.definition_version,
    published.input_watermark,
    COALESCE(told.numerator, CAST(0 AS NUMERIC)) AS told_numerator,
    COALESCE(told.denominator, CAST(0 AS NUMERIC)) AS told_denominator
  FROM published
  FULL OUTER JOIN told
    ON told.tenant_id = published.tenant_id AND told.kpi = published.kpi
    AND told.`rollup` = published.`rollup` AND COALESCE(told.role, '') = COALESCE(published.role, '')
    AND told.week_start = published.week_start
),
causes AS (
  SELECT {_CELL}, STRING_AGG(cause, ', ' ORDER BY cause) AS cause
  FROM (SELECT {_CELL}, cause FROM {KPI_CHANGES} WHERE build = @build GROUP BY {_CELL}, cause) AS named
  GROUP BY {_CELL}
)
SELECT
  now.tenant_id, now.kpi, now.`rollup`, now.role, now.week_start, now.numerator, now.denominator,
  COALESCE(now.value, IF(now.denominator IS NULL, now.numerator, NULL)) AS value,
  @as_of AS reported_as_of,
  @run_id AS run_id,
  COALESCE(now.definition_version, kpi.version) AS definition_version,
  'restatement' AS kind,
  causes.cause,
  now.input_watermark,
  @build AS build
FROM both_states AS now
JOIN st_ref.dim_kpis AS kpi ON kpi.kpi = now.kpi
LEFT JOIN causes
  ON causes.tenant_id = now.tenant_id AND causes.kpi = now.kpi AND causes.`rollup` = now.`rollup`
  AND COALESCE(causes.role, '') = COALESCE(now.role, '') AND causes.week_start = now.week_start
WHERE now.numerator <> now.told_numerator
  OR COALESCE(now.denominator, CAST(0 AS NUMERIC)) <> now.told_denominator
"""

_NOT_FROZEN = f"""NOT EXISTS (
  SELECT 1 FROM {WEEKS} AS frozen
  WHERE frozen.tenant_id = cell.tenant_id AND frozen.kpi = cell.kpi AND frozen.week_start = cell.week_start
)"""

_REPORT = f"""
INSERT INTO {REPORTED} ({_COLUMNS})
SELECT
  cell.tenant_id, cell.kpi, cell.`rollup`, cell.role, cell.week_start,
  cell.numerator, cell.denominator, cell.value,
  @as_of AS reported_as_of,
  @run_id AS run_id,
  cell.definition_version,
  'reported' AS kind,
  CAST(NULL AS STRING) AS cause,
  cell.input_watermark,
  @build AS build
FROM st_kpi.kpi_weekly AS cell
WHERE cell.week_start <= @closed_until AND {_NOT_FROZEN}
"""

#: Every closed week since the tenant's first; of a snapshot, only those with a measured day.
_CLOSE = f"""
INSERT INTO {WEEKS} (tenant_id, kpi, week_start, build)
WITH tenants AS (
  SELECT tenant_id, MIN(week_start) AS first_week FROM st_kpi.kpi_weekly GROUP BY tenant_id
),
measured AS (
  SELECT tenant_id, kpi, DATE_TRUNC(day, WEEK(MONDAY)) AS week_start
  FROM st_kpi.snapshot_days
  GROUP BY tenant_id, kpi, DATE_TRUNC(day, WEEK(MONDAY))
),
cell AS (
  SELECT tenants.tenant_id, kpi.kpi, kpi.kind, week.week_start
  FROM tenants
  CROSS JOIN st_ref.dim_kpis AS kpi
  JOIN st_ref.dim_weeks AS week ON week.week_start BETWEEN tenants.first_week AND @closed_until
)
SELECT cell.tenant_id, cell.kpi, cell.week_start, @build AS build
FROM cell
LEFT JOIN measured
  ON measured.tenant_id = cell.tenant_id AND measured.kpi = cell.kpi AND measured.week_start = cell.week_start
WHERE (cell.kind <> 'snapshot' OR measured.week_start IS NOT NULL) AND {_NOT_FROZEN}
"""
