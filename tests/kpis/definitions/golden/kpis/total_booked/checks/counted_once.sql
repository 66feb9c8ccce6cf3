/* A sold estimate is counted once. */
/* check: fail counted_once */
SELECT
  tenant_id,
  source_id AS estimate_id,
  COUNT(source_id) AS times,
  SUM(amount) AS total
FROM st_kpi.contributions
WHERE
  kpi = 'total_booked'
GROUP BY
  tenant_id,
  source_id
HAVING
  COUNT(source_id) <> 1
ORDER BY
  times DESC,
  estimate_id NULLS FIRST
