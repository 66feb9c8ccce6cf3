/* Every closed week since the tenant's first that is not frozen yet; of a snapshot, only those with a measured day. */
/* history: st_ops.reported_weeks append */
WITH tenants AS (
  SELECT
    tenant_id,
    MIN(week_start) AS first_week
  FROM st_kpi.kpi_weekly
  GROUP BY
    tenant_id
), measured AS (
  SELECT
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', day) AS DATE) AS week_start
  FROM st_kpi.snapshot_days
  GROUP BY
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', day) AS DATE)
), cell AS (
  SELECT
    tenants.tenant_id,
    kpi.kpi,
    kpi.kind,
    week.week_start
  FROM tenants
  CROSS JOIN st_ref.dim_kpis AS kpi /* cross join: a row per tenant and KPI, a handful */
  JOIN st_ref.dim_weeks AS week /* no tenant: the calendar is everyone's */
    ON week.week_start BETWEEN tenants.first_week AND $closed_until
)
SELECT
  cell.tenant_id,
  cell.kpi,
  cell.week_start,
  $build AS build
FROM cell
LEFT JOIN measured
  ON measured.tenant_id = cell.tenant_id
  AND measured.kpi = cell.kpi
  AND measured.week_start = cell.week_start
WHERE
  (
    cell.kind <> 'snapshot' OR NOT measured.week_start IS NULL
  )
  AND NOT EXISTS(
    SELECT
      1
    FROM st_ops.reported_weeks AS frozen
    WHERE
      frozen.tenant_id = cell.tenant_id
      AND frozen.kpi = cell.kpi
      AND frozen.week_start = cell.week_start
  )
