-- Closed weeks in which the value last reported or restated is not the one published now, with the causes.
-- history: st_kpi.kpi_reported append
WITH last_reported AS (
  SELECT tenant_id, kpi, `rollup`, role, week_start, numerator, denominator
  FROM st_kpi.kpi_reported
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, kpi, `rollup`, role, week_start ORDER BY build DESC) = 1
),

published AS (
  SELECT
    cell.tenant_id,
    cell.kpi,
    cell.`rollup`,
    cell.role,
    cell.week_start,
    cell.numerator,
    cell.denominator,
    cell.value,
    cell.definition_version,
    cell.input_watermark
  FROM st_kpi.kpi_weekly AS cell
  JOIN st_ops.reported_weeks AS frozen
    ON frozen.tenant_id = cell.tenant_id
    AND frozen.kpi = cell.kpi
    AND frozen.week_start = cell.week_start
),

both_states AS (
  SELECT
    COALESCE(published.tenant_id, last_reported.tenant_id) AS tenant_id,
    COALESCE(published.kpi, last_reported.kpi) AS kpi,
    COALESCE(published.`rollup`, last_reported.`rollup`) AS `rollup`,
    COALESCE(published.role, last_reported.role) AS role,
    COALESCE(published.week_start, last_reported.week_start) AS week_start,
    COALESCE(published.numerator, CAST(0 AS NUMERIC)) AS numerator,
    COALESCE(published.denominator, IF(last_reported.denominator IS NULL, NULL, CAST(0 AS NUMERIC))) AS denominator,
    published.value,
    published.definition_version,
    published.input_watermark,
    COALESCE(last_reported.numerator, CAST(0 AS NUMERIC)) AS reported_numerator,
    COALESCE(last_reported.denominator, CAST(0 AS NUMERIC)) AS reported_denominator
  FROM published
  FULL OUTER JOIN last_reported
    ON last_reported.tenant_id = published.tenant_id
    AND last_reported.kpi = published.kpi
    AND last_reported.`rollup` = published.`rollup`
    AND COALESCE(last_reported.role, '') = COALESCE(published.role, '')
    AND last_reported.week_start = published.week_start
),

named AS (
  SELECT tenant_id, kpi, `rollup`, role, week_start, cause
  FROM st_kpi.kpi_changes
  WHERE build = @build
  GROUP BY tenant_id, kpi, `rollup`, role, week_start, cause
),

causes AS (
  SELECT tenant_id, kpi, `rollup`, role, week_start, STRING_AGG(cause, ', ' ORDER BY cause) AS cause
  FROM named
  GROUP BY tenant_id, kpi, `rollup`, role, week_start
)

SELECT
  now.tenant_id,
  now.kpi,
  now.`rollup`,
  now.role,
  now.week_start,
  now.numerator,
  now.denominator,
  COALESCE(now.value, IF(now.denominator IS NULL, now.numerator, NULL)) AS value,
  @as_of AS reported_as_of,
  @run_id AS run_id,
  COALESCE(now.definition_version, kpi.version) AS definition_version,
  'restatement' AS kind,
  causes.cause,
  now.input_watermark,
  @build AS build
FROM both_states AS now
JOIN st_ref.dim_kpis AS kpi -- no tenant: a KPI means the same for everyone
  ON kpi.kpi = now.kpi
LEFT JOIN causes
  ON causes.tenant_id = now.tenant_id
  AND causes.kpi = now.kpi
  AND causes.`rollup` = now.`rollup`
  AND COALESCE(causes.role, '') = COALESCE(now.role, '')
  AND causes.week_start = now.week_start
WHERE now.numerator <> now.reported_numerator
  OR COALESCE(now.denominator, CAST(0 AS NUMERIC)) <> now.reported_denominator
