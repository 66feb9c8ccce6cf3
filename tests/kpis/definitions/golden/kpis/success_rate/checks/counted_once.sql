/* An opportunity is one job, on one day. */
/* check: fail counted_once */
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
