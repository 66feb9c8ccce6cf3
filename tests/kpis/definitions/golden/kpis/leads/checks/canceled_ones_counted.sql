/* Canceled leads are among the leads, once there are 200 of them: a source that hides them looks better than it is. */
/* check: warn canceled_ones_counted */
/* way_on: If the app does not see canceled jobs, grant it that in ServiceTitan, then `st-kpi repair --entity jobs`; a company that deletes its canceled jobs has none to count. */
/* accepted_by: tenant_id */
SELECT
  lead.tenant_id,
  COUNT(lead.job_id) AS leads
FROM st_kpi.contributions AS lead
JOIN st_dim.dim_jobs AS job
  ON job.tenant_id = lead.tenant_id AND job.job_id = lead.job_id
WHERE
  lead.kpi = 'leads'
GROUP BY
  lead.tenant_id
HAVING
  COUNT(lead.job_id) >= 200
  AND COUNT(CASE WHEN job.job_status = 'Canceled' THEN 1 END) = 0
ORDER BY
  lead.tenant_id NULLS FIRST
