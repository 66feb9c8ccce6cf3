/* A lead is one job, counted once. */
/* check: fail counted_once */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
SELECT
  tenant_id,
  job_id,
  COUNT(source_id) AS times,
  SUM(amount) AS total
FROM st_kpi.contributions
WHERE
  kpi = 'leads'
GROUP BY
  tenant_id,
  job_id
HAVING
  COUNT(source_id) <> 1 OR SUM(amount) <> 1
ORDER BY
  times DESC,
  job_id NULLS FIRST
