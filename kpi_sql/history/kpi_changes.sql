-- The change of each weekly value by cause, with how many source rows took part in it.
-- history: st_kpi.kpi_changes append
SELECT
  @build AS build,
  tenant_id,
  kpi,
  `rollup`,
  role,
  DATE_TRUNC(on_date, WEEK(MONDAY)) AS week_start,
  part,
  cause,
  SUM(amount) AS amount,
  COUNT(DISTINCT source_id) AS source_rows
FROM st_staging.change_steps AS step
GROUP BY tenant_id, kpi, `rollup`, role, DATE_TRUNC(on_date, WEEK(MONDAY)), part, cause
HAVING SUM(step.amount) <> 0
