-- All contributions of units that the mapping gives another rollup or role than the build before, changed or not.
-- history: st_staging.moved_rows replace
WITH last_measured AS (
  SELECT tenant_id, kpi, MAX(day) AS day
  FROM st_kpi.snapshot_days
  GROUP BY tenant_id, kpi, DATE_TRUNC(day, WEEK(MONDAY))
),

remapped_units AS (
  SELECT DISTINCT tenant_id, business_unit_id
  FROM st_ops.mapping_changes
  WHERE build = @build
)

SELECT
  stored.tenant_id,
  stored.kpi,
  stored.part,
  stored.source_id,
  stored.on_date,
  stored.amount,
  unit_before.`rollup` AS old_rollup,
  unit_before.role AS old_role,
  unit_now.`rollup` AS new_rollup,
  unit_now.role AS new_role,
  IF(unit_now.role IS NULL, 'unmapped', 'remapped') AS cause
FROM st_kpi.contributions AS stored
JOIN remapped_units AS moved
  ON moved.tenant_id = stored.tenant_id AND moved.business_unit_id = stored.business_unit_id
JOIN st_ref.dim_kpis AS kpi -- no tenant: a KPI means the same for everyone
  ON kpi.kpi = stored.kpi
LEFT JOIN last_measured AS measured
  ON measured.tenant_id = stored.tenant_id
  AND measured.kpi = stored.kpi
  AND measured.day = stored.on_date
LEFT JOIN st_staging.previous_bu_rollup AS unit_before
  ON unit_before.tenant_id = stored.tenant_id
  AND unit_before.business_unit_id = stored.business_unit_id
  AND stored.on_date BETWEEN unit_before.valid_from AND unit_before.valid_to
LEFT JOIN st_ref.dim_bu_rollup AS unit_now
  ON unit_now.tenant_id = stored.tenant_id
  AND unit_now.business_unit_id = stored.business_unit_id
  AND stored.on_date BETWEEN unit_now.valid_from AND unit_now.valid_to
WHERE (kpi.kind <> 'snapshot' OR measured.day IS NOT NULL)
  AND (unit_before.`rollup` IS DISTINCT FROM unit_now.`rollup` OR unit_before.role IS DISTINCT FROM unit_now.role)
