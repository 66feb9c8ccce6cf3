-- ServiceTitan has no records before the first day loaded, and none without a createdOn: they are missing in the numbers named.
-- check: warn
-- way_on: Set history_start to an earlier day and run `st-kpi backfill`; an undated record comes when it is edited in ServiceTitan.
-- accepted_by: entity
WITH latest AS (
  SELECT tenant_id, entity, older, undated, first_loaded
  FROM st_ops.outside_history
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, entity ORDER BY counted_at DESC) = 1
)

SELECT
  latest.tenant_id,
  latest.entity,
  latest.older,
  latest.undated,
  DATE(latest.first_loaded, @timezone) AS first_loaded,
  STRING_AGG(input.kpi, ', ' ORDER BY input.kpi) AS numbers
FROM latest
JOIN st_kpi.kpi_inputs AS input -- no tenant: a KPI means the same for everyone
  ON input.entity = latest.entity
WHERE latest.older > 0
  OR latest.undated > 0
GROUP BY latest.tenant_id, latest.entity, latest.older, latest.undated, latest.first_loaded
ORDER BY latest.tenant_id, latest.entity
