-- The weekly values as they stand now, by the part that contributions name: what causes have to add up to.
-- history: st_staging.weekly_parts inline
SELECT
  cell.tenant_id,
  cell.kpi,
  cell.`rollup`,
  cell.role,
  cell.week_start,
  IF(kpi.kind = 'ratio', 'numerator', 'value') AS part,
  cell.numerator AS amount
FROM st_kpi.kpi_weekly AS cell
JOIN st_ref.dim_kpis AS kpi -- no tenant: a KPI means the same for everyone
  ON kpi.kpi = cell.kpi
UNION ALL
SELECT
  tenant_id,
  kpi,
  `rollup`,
  role,
  week_start,
  'denominator' AS part,
  denominator AS amount
FROM st_kpi.kpi_weekly
WHERE denominator IS NOT NULL
