/* An opportunity is one job, on one day. */
/* check: fail counted_once */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
SELECT
  tenant_id,
  part,
  job_id,
  COUNT(source_id) AS times
FROM st_kpi.contributions
WHERE
  kpi = 'success_rate'
GROUP BY
  tenant_id,
  part,
  job_id
HAVING
  COUNT(source_id) <> 1
ORDER BY
  times DESC,
  job_id NULLS FIRST
