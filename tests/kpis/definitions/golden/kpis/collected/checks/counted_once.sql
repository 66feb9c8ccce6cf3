/* A line of a payment is counted once. */
/* check: fail counted_once */
SELECT
  tenant_id,
  source_entity,
  source_id,
  reason,
  COUNT(amount) AS times,
  SUM(amount) AS total
FROM st_kpi.contributions
WHERE
  kpi = 'collected'
GROUP BY
  tenant_id,
  source_entity,
  source_id,
  reason
HAVING
  COUNT(amount) <> 1
ORDER BY
  times DESC,
  source_id NULLS FIRST
