/* A given estimate is one completed job, counted once. */
/* check: fail counted_once */
SELECT
  tenant_id,
  job_id,
  COUNT(source_id) AS times,
  SUM(amount) AS total
FROM st_kpi.contributions
WHERE
  kpi = 'estimates'
GROUP BY
  tenant_id,
  job_id
HAVING
  COUNT(source_id) <> 1 OR SUM(amount) <> 1
ORDER BY
  times DESC,
  job_id NULLS FIRST
