-- A given estimate is one completed job, counted once.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, job_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'estimates'
GROUP BY tenant_id, job_id
HAVING COUNT(source_id) <> 1 OR SUM(amount) <> 1
ORDER BY times DESC, job_id;

-- A completed job of the estimate family says when it was completed.
-- check: warn completed_have_a_day
-- way_on: Give the jobs their completion in ServiceTitan: without one they are in no week of # Estimates.
-- accepted_by: job_id
SELECT tenant_id, job_id, job_number
FROM st_dim.dim_jobs
WHERE family = 'estimate'
  AND job_status = 'Completed'
  AND completed_on_local IS NULL
ORDER BY tenant_id, job_id
