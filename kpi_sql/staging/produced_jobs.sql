-- The jobs of $ Produced, one row each: what G.P.M and Warranty % are measured over too.
-- inline: st_staging.produced_jobs
SELECT
  job.tenant_id,
  job.job_id,
  job.business_unit_id,
  job.family,
  job.work_on_local AS on_date,
  job.work_on_basis
FROM st_dim.dim_jobs AS job
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = job.tenant_id
  AND unit.business_unit_id = job.business_unit_id
  AND job.work_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE unit.role IN ('PRODUCTION', 'BOTH')
  AND job.family <> 'none'
  AND job.family NOT IN UNNEST(@produced_excludes)
