/* An invoice is counted once. */
/* check: fail counted_once */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
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
