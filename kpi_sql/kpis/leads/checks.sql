-- A lead is one job, counted once.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, job_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'leads'
GROUP BY tenant_id, job_id
HAVING COUNT(source_id) <> 1 OR SUM(amount) <> 1
ORDER BY times DESC, job_id;

-- Canceled leads are among the leads, once there are 200 of them: a source that hides them looks better than it is.
-- check: warn canceled_ones_counted
-- way_on: If the app does not see canceled jobs, grant it that in ServiceTitan, then `st-kpi repair --entity jobs`; a company that deletes its canceled jobs has none to count.
-- accepted_by: tenant_id
SELECT lead.tenant_id, COUNT(lead.job_id) AS leads
FROM st_kpi.contributions AS lead
JOIN st_dim.dim_jobs AS job
  ON job.tenant_id = lead.tenant_id AND job.job_id = lead.job_id
WHERE lead.kpi = 'leads'
GROUP BY lead.tenant_id
HAVING COUNT(lead.job_id) >= 200 AND COUNTIF(job.job_status = 'Canceled') = 0
ORDER BY lead.tenant_id
