/* Sold estimates of jobs in SALES units, before tax, on the day each was sold. */
/* table: st_kpi.contributions */
/* incremental_by: job_id */
SELECT
  estimate.tenant_id,
  'value' AS part,
  estimate.sold_on_local AS on_date,
  estimate.business_unit_id,
  'estimates' AS source_entity,
  estimate.estimate_id AS source_id,
  estimate.job_id,
  estimate.subtotal AS amount,
  'estimate sold' AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_staging.sold_estimates AS estimate
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = estimate.tenant_id
  AND unit.business_unit_id = estimate.business_unit_id
  AND estimate.sold_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE
  unit.role IN ('SALES', 'BOTH')
