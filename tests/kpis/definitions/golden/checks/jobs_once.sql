/* A job stands once among the jobs: a join that found two rows would multiply its money. */
/* check: fail */
SELECT
  tenant_id,
  job_id,
  COUNT(job_id) AS times
FROM st_dim.dim_jobs
GROUP BY
  tenant_id,
  job_id
HAVING
  COUNT(job_id) <> 1
ORDER BY
  times DESC,
  job_id NULLS FIRST
