/* An invoice is counted once. */
/* check: fail counted_once */
SELECT
  tenant_id,
  source_id AS invoice_id,
  COUNT(source_id) AS times,
  SUM(amount) AS total
FROM st_kpi.contributions
WHERE
  kpi = 'produced'
GROUP BY
  tenant_id,
  source_id
HAVING
  COUNT(source_id) <> 1
ORDER BY
  times DESC,
  invoice_id NULLS FIRST
