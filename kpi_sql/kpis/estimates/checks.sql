-- A given estimate is one completed job, counted once.
-- check: fail counted_once
SELECT tenant_id, job_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'estimates'
GROUP BY tenant_id, job_id
HAVING COUNT(source_id) <> 1 OR SUM(amount) <> 1
ORDER BY times DESC, job_id;

-- A completed job of the estimate family says when it was completed.
-- check: warn completed_have_a_day
SELECT tenant_id, job_id, job_number
FROM st_dim.dim_jobs
WHERE family = 'estimate'
  AND job_status = 'Completed'
  AND completed_on_local IS NULL
ORDER BY tenant_id, job_id
