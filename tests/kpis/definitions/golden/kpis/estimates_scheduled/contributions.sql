/* Jobs of the estimate family in SALES units, once each, on the day they are booked for now. */
/* table: st_kpi.contributions */
/* incremental_by: job_id */
SELECT
  job.tenant_id,
  'value' AS part,
  job.current_appointment_on_local AS on_date,
  job.business_unit_id,
  'jobs' AS source_entity,
  job.job_id AS source_id,
  job.job_id,
  CAST(1 AS DECIMAL(38, 9)) AS amount,
  'estimate job booked by appointment ' || CAST(job.current_appointment_id AS TEXT) AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_dim.dim_jobs AS job
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = job.tenant_id
  AND unit.business_unit_id = job.business_unit_id
  AND job.current_appointment_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE
  unit.role IN ('SALES', 'BOTH')
  AND job.family = 'estimate'
  AND COALESCE(job.job_status, '') <> 'Canceled'
