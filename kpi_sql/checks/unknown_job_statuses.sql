-- Job statuses are those the KPIs know how to read.
-- check: warn
-- way_on: A status is new in ServiceTitan: jobs with it count as neither completed nor canceled, and a newer st-kpi has to know it where it means one of these.
-- accepted_by: job_status
SELECT tenant_id, job_status, COUNT(job_id) AS jobs
FROM st_dim.dim_jobs
WHERE COALESCE(job_status, '') NOT IN ('Scheduled', 'Dispatched', 'InProgress', 'Hold', 'Completed', 'Canceled')
GROUP BY tenant_id, job_status
ORDER BY jobs DESC, job_status
