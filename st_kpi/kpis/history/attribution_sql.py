"""The statements that tell why numbers changed: rows matched, judged, and walked from cell to cell.

What the causes mean and how they are told apart is written in ``st_kpi.kpis.history.attribution``, which runs these in
the order they stand here. All but the log tables are scratch tables of the build under way.
"""

from enum import StrEnum

from st_kpi.kpis.contributions import CHANGED, COLUMNS
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS

KPI_CHANGES = "st_kpi.kpi_changes"
CONTRIBUTION_CHANGES = "st_kpi.contribution_changes"
MAPPING_CHANGES = "st_ops.mapping_changes"
SEEN = "st_ops.seen_rows"

PREVIOUS_ROLLUPS = "st_staging.previous_bu_rollup"
PREVIOUS_TYPES = "st_staging.previous_job_types"
PREVIOUS_WEEKLY = "st_staging.previous_weekly"
SOURCES = "st_staging.changed_sources"
LATE_COSTS = "st_staging.late_costs"
CLASSIFIED = "st_staging.classified_changes"
STEPS = "st_staging.change_steps"


class Cause(StrEnum):
    """Why a value changed."""

    NEW = "new"
    ARRIVED_LATE = "arrived late"
    AMOUNT_EDITED = "amount edited"
    STATUS_MOVED = "status moved"
    RE_DATED = "re-dated"
    UNIT_MOVED = "business unit moved"
    INACTIVE = "became inactive or deleted"
    UNMAPPED = "unmapped"
    REMAPPED = "remapped"
    DEFINITION = "definition changed"
    MEASURED = "measured"
    NOT_EXPLAINED = "not explained"


PREVIOUS = (PREVIOUS_ROLLUPS, PREVIOUS_TYPES, PREVIOUS_WEEKLY)

_KEY = ("tenant_id", "kpi", "part", "source_entity", "source_id")
_HEAD = "REGEXP_REPLACE(REGEXP_EXTRACT(COALESCE(reason, ''), r'^[^,]*'), r'[0-9]', '')"


def _numbered(side: str, count: str) -> str:
    return (
        f"SELECT {', '.join(COLUMNS)}, {_HEAD} AS head, ROW_NUMBER() OVER (PARTITION BY"
        f" {', '.join(_KEY)}, {_HEAD} ORDER BY on_date, amount, business_unit_id, reason) AS nth"
        f" FROM {CHANGED} CROSS JOIN UNNEST(GENERATE_ARRAY(1, {count})) AS copy -- {side}\n"
    )


#: Plain equalities: an outer join on anything else is not possible on every engine.
_ON_KEY = " AND ".join(
    f"COALESCE(came.{name}, -1) = COALESCE(gone.{name}, -1)"
    if name == "source_id"
    else f"came.{name} = gone.{name}"
    for name in (*_KEY, "head", "nth")
)
_EITHER = ", ".join(f"COALESCE(gone.{name}, came.{name}) AS {name}" for name in _KEY)
_BOTH = ", ".join(
    f"gone.{name} AS old_{name}, came.{name} AS new_{name}"
    for name in ("on_date", "business_unit_id", "job_id", "amount", "reason")
)


def _unit(alias: str, table: str) -> str:
    """A join that gives the rollup and role of the row's unit on the row's day."""
    return (
        f" LEFT JOIN {table} AS {alias} ON {alias}.tenant_id = matched.tenant_id"
        f" AND {alias}.business_unit_id = COALESCE(matched.old_business_unit_id, matched.new_business_unit_id)"
        f" AND COALESCE(matched.old_on_date, matched.new_on_date)"
        f" BETWEEN {alias}.valid_from AND {alias}.valid_to"
    )


#: Every row that went or came, matched where it can be, with the cause of each step it takes.
CLASSIFY = f"""
WITH gone AS ({_numbered("gone", "before - after")}),
came AS ({_numbered("came", "after - before")}),
matched AS (
  SELECT {_EITHER}, {_BOTH},
    gone.tenant_id IS NOT NULL AS is_old,
    came.tenant_id IS NOT NULL AS is_new
  FROM gone FULL OUTER JOIN came ON {_ON_KEY}
),
judged AS (
  SELECT
    matched.tenant_id, matched.kpi, matched.part, matched.source_entity, matched.source_id,
    matched.is_old, matched.is_new,
    matched.old_on_date, matched.old_business_unit_id, matched.old_job_id, matched.old_amount, matched.old_reason,
    matched.new_on_date, matched.new_business_unit_id, matched.new_job_id, matched.new_amount, matched.new_reason,
    matched.kpi IN UNNEST(@redefined) AND NOT COALESCE(source.is_edited, FALSE) AS is_redefined,
    matched.kpi IN UNNEST(@newly_measured) AS is_newly_measured,
    COALESCE(source.is_new, FALSE) AS is_new_source,
    -- A record that is gone from the raw tables was deleted; of an unknown entity nothing can be said.
    COALESCE(source.is_active, matched.source_entity NOT IN UNNEST(@known_entities))
      AND COALESCE(job.is_active, TRUE) AS is_active,
    unit_before.`rollup` IS DISTINCT FROM unit_now.`rollup`
      OR unit_before.role IS DISTINCT FROM unit_now.role AS is_unit_remapped,
    unit_now.`rollup` IS NULL AS is_unmapped,
    type_before.family IS DISTINCT FROM type_now.family AND dim.job_id IS NOT NULL AS is_type_remapped,
    COALESCE(matched.new_reason, matched.old_reason) LIKE '%cost: %' AS is_cost,
    late.job_id IS NOT NULL AS is_late_cost
  FROM matched
  LEFT JOIN {SOURCES} AS source
    ON source.entity = matched.source_entity
    AND source.tenant_id = matched.tenant_id AND source.id = matched.source_id
  LEFT JOIN {SOURCES} AS job
    ON job.entity = 'jobs' AND job.tenant_id = matched.tenant_id
    AND job.id = COALESCE(matched.old_job_id, matched.new_job_id)
  LEFT JOIN st_dim.dim_jobs AS dim
    ON dim.tenant_id = matched.tenant_id AND dim.job_id = COALESCE(matched.old_job_id, matched.new_job_id)
  LEFT JOIN {PREVIOUS_TYPES} AS type_before
    ON type_before.tenant_id = dim.tenant_id AND type_before.job_type_id = dim.job_type_id
  LEFT JOIN st_ref.dim_job_types AS type_now
    ON type_now.tenant_id = dim.tenant_id AND type_now.job_type_id = dim.job_type_id
  LEFT JOIN {LATE_COSTS} AS late
    ON late.tenant_id = matched.tenant_id
    AND late.job_id = COALESCE(matched.new_job_id, matched.old_job_id)
    AND late.part = REGEXP_EXTRACT(COALESCE(matched.new_reason, matched.old_reason), r'cost: ([a-z_]+)')
  {_unit("unit_before", PREVIOUS_ROLLUPS)}
  {_unit("unit_now", "st_ref.dim_bu_rollup")}
)
SELECT
  tenant_id, kpi, part, source_entity, source_id, is_old, is_new,
  old_on_date, old_business_unit_id, old_job_id, old_amount, old_reason,
  new_on_date, new_business_unit_id, new_job_id, new_amount, new_reason,
  CASE
    WHEN is_newly_measured THEN '{Cause.MEASURED}'
    WHEN is_old AND is_new AND is_redefined THEN '{Cause.DEFINITION}'
    WHEN is_old AND NOT is_new AND NOT is_active THEN '{Cause.INACTIVE}'
    WHEN is_new AND NOT is_old AND is_new_source THEN
      IF(new_on_date < @previous_as_of, '{Cause.ARRIVED_LATE}', '{Cause.NEW}')
    WHEN is_unit_remapped AND is_old <> is_new THEN
      IF(is_unmapped, '{Cause.UNMAPPED}', '{Cause.REMAPPED}')
    WHEN is_type_remapped AND is_old <> is_new THEN '{Cause.REMAPPED}'
    WHEN is_redefined THEN '{Cause.DEFINITION}'
    WHEN is_cost AND is_new AND is_late_cost THEN '{Cause.ARRIVED_LATE}'
    WHEN is_cost THEN '{Cause.AMOUNT_EDITED}'
    WHEN is_old AND is_new AND old_amount <> new_amount THEN '{Cause.AMOUNT_EDITED}'
    WHEN is_old AND is_new AND old_on_date IS DISTINCT FROM new_on_date THEN '{Cause.RE_DATED}'
    WHEN is_old AND is_new AND old_business_unit_id IS DISTINCT FROM new_business_unit_id THEN '{Cause.UNIT_MOVED}'
    ELSE '{Cause.STATUS_MOVED}'
  END AS cause
FROM judged
"""


def _log(side: str, copies: int) -> str:
    columns = ", ".join(
        name if name in _KEY else f"{side}_{name} AS {name}" for name in COLUMNS if name != "kpi"
    )
    # The first rows of a snapshot's week stand in the contributions already, under their day.
    return (
        f"SELECT @build AS build, {copies} AS copies, cause, kpi, {columns} FROM {CLASSIFIED}"
        f" WHERE is_{side} AND cause <> '{Cause.MEASURED}'"
    )


_LOGGED = ", ".join(("build", "copies", "cause", *COLUMNS))
LOG_ROWS = (
    f"INSERT INTO {CONTRIBUTION_CHANGES} ({_LOGGED}) SELECT {_LOGGED} FROM"
    f" ({_log('old', -1)} UNION ALL {_log('new', 1)}) AS log"
)

_MAPPING = "tenant_id, business_unit_id, `rollup`, role, valid_from, valid_to"
LOG_MAPPINGS = (
    f"INSERT INTO {MAPPING_CHANGES} (build, copies, {_MAPPING})"
    f" SELECT @build, CAST(SUM(copies) AS INT64), {_MAPPING} FROM"
    f" (SELECT -1 AS copies, {_MAPPING} FROM {PREVIOUS_ROLLUPS}"
    f" UNION ALL SELECT 1 AS copies, {_MAPPING} FROM st_ref.dim_bu_rollup) AS states"
    f" GROUP BY {_MAPPING} HAVING SUM(copies) <> 0"
)


def _step(cause: str, sign: str, date: str, unit: str, amount: str, where: str) -> str:
    return (
        f"SELECT tenant_id, kpi, part, source_id, {cause} AS cause, {date}_on_date AS on_date,"
        f" {unit}_business_unit_id AS business_unit_id, {sign}{amount}_amount AS amount"
        f" FROM {CLASSIFIED} WHERE {where}"
    )


def _told(own: Cause) -> str:
    """The cause of one step of a pair, unless something above it explains the whole pair."""
    whole = f"'{Cause.DEFINITION}', '{Cause.MEASURED}'"
    return f"IF(cause IN ({whole}), cause, '{own}')"


def _steps() -> str:
    """Each row's way from what it was to what it is, as amounts taken from one cell and put into another."""
    edited = f"IF(cause = '{Cause.ARRIVED_LATE}', cause, {_told(Cause.AMOUNT_EDITED)})"
    pair = "is_old AND is_new"
    path = [
        (_told(Cause.UNIT_MOVED), ("old", "old"), ("old", "new"), ("old", "old")),
        (_told(Cause.RE_DATED), ("old", "new"), ("new", "new"), ("old", "old")),
        (edited, ("new", "new"), ("new", "new"), ("old", "new")),
    ]
    steps = [
        _step("cause", "-", "old", "old", "old", "is_old AND NOT is_new"),
        _step("cause", "", "new", "new", "new", "is_new AND NOT is_old"),
    ]
    for cause, (date, unit), (to_date, to_unit), (amount, to_amount) in path:
        steps.append(_step(cause, "-", date, unit, amount, pair))
        steps.append(_step(cause, "", to_date, to_unit, to_amount, pair))
    return " UNION ALL ".join(steps)


#: The steps in the cells that the mapping of the build before gave them, then the way of all rows of
#: remapped units from those cells to their new ones.
WALK = f"""
WITH last_measured AS (
  SELECT tenant_id, kpi, MAX(day) AS day FROM st_kpi.snapshot_days
  GROUP BY tenant_id, kpi, DATE_TRUNC(day, WEEK(MONDAY))
),
remapped_units AS (
  SELECT DISTINCT tenant_id, business_unit_id FROM {MAPPING_CHANGES} WHERE build = @build
),
remapped AS (
  SELECT
    stored.tenant_id, stored.kpi, stored.part, stored.source_id, stored.on_date, stored.amount,
    unit_before.`rollup` AS old_rollup, unit_before.role AS old_role,
    unit_now.`rollup` AS new_rollup, unit_now.role AS new_role,
    IF(unit_now.`rollup` IS NULL, '{Cause.UNMAPPED}', '{Cause.REMAPPED}') AS cause
  FROM {CONTRIBUTIONS} AS stored
  JOIN remapped_units AS moved
    ON moved.tenant_id = stored.tenant_id AND moved.business_unit_id = stored.business_unit_id
  JOIN st_ref.dim_kpis AS kpi ON kpi.kpi = stored.kpi
  LEFT JOIN last_measured AS measured
    ON measured.tenant_id = stored.tenant_id AND measured.kpi = stored.kpi AND measured.day = stored.on_date
  LEFT JOIN {PREVIOUS_ROLLUPS} AS unit_before
    ON unit_before.tenant_id = stored.tenant_id AND unit_before.business_unit_id = stored.business_unit_id
    AND stored.on_date BETWEEN unit_before.valid_from AND unit_before.valid_to
  LEFT JOIN st_ref.dim_bu_rollup AS unit_now
    ON unit_now.tenant_id = stored.tenant_id AND unit_now.business_unit_id = stored.business_unit_id
    AND stored.on_date BETWEEN unit_now.valid_from AND unit_now.valid_to
  WHERE (kpi.kind <> 'snapshot' OR measured.day IS NOT NULL)
    AND (unit_before.`rollup` IS DISTINCT FROM unit_now.`rollup` OR unit_before.role IS DISTINCT FROM unit_now.role)
),
steps AS ({_steps()})
SELECT
  step.tenant_id, step.kpi, step.part, step.source_id, step.cause, step.on_date, step.amount,
  COALESCE(unit.`rollup`, '(unassigned)') AS `rollup`, unit.role
FROM steps AS step
LEFT JOIN {PREVIOUS_ROLLUPS} AS unit
  ON unit.tenant_id = step.tenant_id AND unit.business_unit_id = step.business_unit_id
  AND step.on_date BETWEEN unit.valid_from AND unit.valid_to
WHERE step.on_date IS NOT NULL
UNION ALL
SELECT tenant_id, kpi, part, source_id, cause, on_date, -amount AS amount,
  COALESCE(old_rollup, '(unassigned)') AS `rollup`, old_role AS role
FROM remapped WHERE on_date IS NOT NULL
UNION ALL
SELECT tenant_id, kpi, part, source_id, cause, on_date, amount,
  COALESCE(new_rollup, '(unassigned)') AS `rollup`, new_role AS role
FROM remapped WHERE on_date IS NOT NULL
"""

_CHANGE_COLUMNS = (
    "build, tenant_id, kpi, `rollup`, role, week_start, part, cause, amount, source_rows"
)
_CELL = "tenant_id, kpi, `rollup`, role"

SUM_STEPS = f"""
INSERT INTO {KPI_CHANGES} ({_CHANGE_COLUMNS})
SELECT @build AS build, {_CELL}, DATE_TRUNC(on_date, WEEK(MONDAY)) AS week_start, part, cause,
  SUM(amount) AS amount, COUNT(DISTINCT source_id) AS source_rows
FROM {STEPS} AS step
GROUP BY {_CELL}, DATE_TRUNC(on_date, WEEK(MONDAY)), part, cause
HAVING SUM(step.amount) <> 0
"""


def _cells(table: str, sign: str) -> str:
    """The weekly values of a table by part, the way contributions name them."""
    known = f"FROM {table} AS cell JOIN st_ref.dim_kpis AS kpi ON kpi.kpi = cell.kpi"
    cell = "cell.tenant_id, cell.kpi, cell.`rollup`, cell.role, cell.week_start"
    return (
        f"SELECT {cell}, IF(kpi.kind = 'ratio', 'numerator', 'value') AS part,"
        f" {sign}cell.numerator AS amount {known}"
        f" UNION ALL SELECT {cell}, 'denominator' AS part, {sign}cell.denominator AS amount {known}"
        " WHERE cell.denominator IS NOT NULL"
    )


#: What the causes leave over of the change of the published values. Of a snapshot that moved on to
#: another day, that is a unit whose rollup ends between the two days.
SUM_REST = f"""
INSERT INTO {KPI_CHANGES} ({_CHANGE_COLUMNS})
WITH changes AS (
  {_cells("st_kpi.kpi_weekly", "")}
  UNION ALL {_cells(PREVIOUS_WEEKLY, "-")}
  UNION ALL SELECT {_CELL}, week_start, part, -amount AS amount FROM {KPI_CHANGES} WHERE build = @build
)
SELECT @build AS build, {_CELL}, week_start, part,
  CASE
    WHEN kpi IN UNNEST(@redefined) THEN '{Cause.DEFINITION}'
    WHEN kpi IN UNNEST(@moved_on) THEN '{Cause.REMAPPED}'
    ELSE '{Cause.NOT_EXPLAINED}'
  END AS cause,
  SUM(amount) AS amount, 0 AS source_rows
FROM changes
GROUP BY {_CELL}, week_start, part
HAVING SUM(changes.amount) <> 0
"""
