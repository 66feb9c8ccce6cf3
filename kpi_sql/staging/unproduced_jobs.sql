-- Jobs that $ Produced, G.P.M and Warranty % leave out, one row each, with the rule that does.
-- inline: st_staging.unproduced_jobs
SELECT
  everything.tenant_id,
  everything.id AS job_id,
  NULLIF(everything.business_unit_id, 0) AS business_unit_id,
  COALESCE(type.family, 'other') AS family,
  job.work_on_local AS on_date,
  CASE
    WHEN job.job_id IS NULL THEN 'its job is inactive'
    WHEN job.family = 'none' THEN 'its job is of a type that does not count'
    WHEN job.business_unit_id IS NULL THEN 'without a business unit'
    WHEN job.work_on_local IS NULL THEN 'without a day'
    WHEN job.role IS NULL THEN 'without a mapping of its unit'
    WHEN job.role = 'NONE' THEN 'its job is of a unit that does not count'
    WHEN job.role = 'SALES' THEN 'its job is of a SALES unit'
    WHEN job.family IN UNNEST(@produced_excludes) THEN 'its job family is in produced_excludes'
  END AS rule
FROM st_raw.jobs AS everything
LEFT JOIN st_dim.dim_jobs AS job
  ON job.tenant_id = everything.tenant_id AND job.job_id = everything.id
LEFT JOIN st_ref.dim_job_types AS type
  ON type.tenant_id = everything.tenant_id AND type.job_type_id = everything.job_type_id
LEFT JOIN st_staging.produced_jobs AS produced
  ON produced.tenant_id = everything.tenant_id AND produced.job_id = everything.id
WHERE produced.job_id IS NULL
