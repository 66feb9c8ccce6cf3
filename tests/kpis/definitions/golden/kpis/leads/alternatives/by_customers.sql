/* The customers behind the leads: one who asks twice in a period is one. */
/* alternative: distinct */
SELECT
  job.tenant_id,
  'value' AS part,
  job.created_on_local AS on_date,
  job.business_unit_id,
  'customers' AS source_entity,
  job.customer_id AS source_id,
  job.job_id,
  CAST(1 AS DECIMAL(38, 9)) AS amount,
  'customer of an estimate job' AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_dim.dim_jobs AS job
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = job.tenant_id
  AND unit.business_unit_id = job.business_unit_id
  AND job.created_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE
  unit.role IN ('SALES', 'BOTH')
  AND job.family = 'estimate'
  AND NOT job.is_test_customer
