-- Completed jobs of the estimate family in SALES units, with or without an estimate row.
-- table: st_kpi.contributions
-- incremental_by: job_id
SELECT
  job.tenant_id,
  'value' AS part,
  job.completed_on_local AS on_date,
  job.business_unit_id,
  'jobs' AS source_entity,
  job.job_id AS source_id,
  job.job_id,
  CAST(1 AS NUMERIC) AS amount,
  'estimate job completed' AS reason,
  CAST(NULL AS STRING) AS component
FROM st_dim.dim_jobs AS job
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = job.tenant_id
  AND unit.business_unit_id = job.business_unit_id
  AND job.completed_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE unit.role IN ('SALES', 'BOTH')
  AND job.family = 'estimate'
  -- A canceled job carries a completion time too.
  AND job.job_status = 'Completed'
