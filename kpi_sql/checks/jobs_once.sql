-- A job stands once among the jobs: a join that found two rows would multiply its money.
-- check: fail
-- way_on: A join finds two rows of a job's unit, type or customer. No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, job_id, COUNT(job_id) AS times
FROM st_dim.dim_jobs
GROUP BY tenant_id, job_id
HAVING COUNT(job_id) <> 1
ORDER BY times DESC, job_id
