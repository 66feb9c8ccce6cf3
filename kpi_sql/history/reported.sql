-- The values of the weeks that have closed since the build before, as they are reported and stay.
-- history: st_kpi.kpi_reported append
SELECT
  cell.tenant_id,
  cell.kpi,
  cell.`rollup`,
  cell.role,
  cell.week_start,
  cell.numerator,
  cell.denominator,
  cell.value,
  @as_of AS reported_as_of,
  @run_id AS run_id,
  cell.definition_version,
  'reported' AS kind,
  CAST(NULL AS STRING) AS cause,
  cell.input_watermark,
  @build AS build
FROM st_kpi.kpi_weekly AS cell
WHERE cell.week_start <= @closed_until
  AND NOT EXISTS (
    SELECT 1
    FROM st_ops.reported_weeks AS frozen
    WHERE frozen.tenant_id = cell.tenant_id
      AND frozen.kpi = cell.kpi
      AND frozen.week_start = cell.week_start
  )
