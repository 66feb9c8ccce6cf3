/* A completed job of the estimate family says when it was completed. */
/* check: warn completed_have_a_day */
/* way_on: Give the jobs their completion in ServiceTitan: without one they are in no week of # Estimates. */
/* accepted_by: job_id */
SELECT
  tenant_id,
  job_id,
  job_number
FROM st_dim.dim_jobs
WHERE
  family = 'estimate' AND job_status = 'Completed' AND completed_on_local IS NULL
ORDER BY
  tenant_id NULLS FIRST,
  job_id NULLS FIRST
