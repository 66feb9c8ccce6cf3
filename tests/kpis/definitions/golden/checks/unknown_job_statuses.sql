/* Job statuses are those the KPIs know how to read. */
/* check: warn */
SELECT
  tenant_id,
  job_status,
  COUNT(job_id) AS jobs
FROM st_dim.dim_jobs
WHERE
  NOT COALESCE(job_status, '') IN ('Scheduled', 'Dispatched', 'InProgress', 'Hold', 'Completed', 'Canceled')
GROUP BY
  tenant_id,
  job_status
ORDER BY
  jobs DESC,
  job_status NULLS FIRST
