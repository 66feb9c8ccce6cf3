/* Every job type in use has a family: from the mapping, or because its name says estimate. */
/* check: warn */
/* way_on: Write a line for the type in job_types.csv: its family, or none where it does not count. */
SELECT
  job.tenant_id,
  job.job_type_id,
  job.job_type,
  COUNT(job.job_id) AS jobs
FROM st_dim.dim_jobs AS job
LEFT JOIN st_ref.dim_job_types AS type
  ON type.tenant_id = job.tenant_id AND type.job_type_id = job.job_type_id
WHERE
  NOT job.job_type_id IS NULL
  AND job.family = 'other'
  AND NOT COALESCE(type.is_mapped, FALSE)
GROUP BY
  job.tenant_id,
  job.job_type_id,
  job.job_type
ORDER BY
  jobs DESC,
  job.job_type_id NULLS FIRST
