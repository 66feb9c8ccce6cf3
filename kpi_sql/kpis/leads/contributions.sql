-- Jobs of the estimate family created in SALES units, canceled ones included, test customers left out.
-- table: st_kpi.contributions
-- incremental_by: job_id
SELECT
  job.tenant_id,
  'value' AS part,
  job.created_on_local AS on_date,
  job.business_unit_id,
  'jobs' AS source_entity,
  job.job_id AS source_id,
  job.job_id,
  CAST(1 AS NUMERIC) AS amount,
  CONCAT('estimate job created, now ', COALESCE(job.job_status, 'without status')) AS reason,
  CAST(NULL AS STRING) AS component
FROM st_dim.dim_jobs AS job
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = job.tenant_id
  AND unit.business_unit_id = job.business_unit_id
  AND job.created_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE unit.role IN ('SALES', 'BOTH')
  AND job.family = 'estimate'
  AND NOT job.is_test_customer
