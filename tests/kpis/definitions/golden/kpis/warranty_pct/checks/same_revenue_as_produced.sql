/* The revenue is that of $ Produced, to the cent, on every day. */
/* check: fail same_revenue_as_produced */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
SELECT
  tenant_id,
  on_date,
  SUM(CASE WHEN kpi = 'produced' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS produced,
  SUM(CASE WHEN kpi = 'warranty_pct' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS warranty_pct
FROM st_kpi.contributions
WHERE
  kpi = 'produced' OR (
    kpi = 'warranty_pct' AND part = 'denominator'
  )
GROUP BY
  tenant_id,
  on_date
HAVING
  SUM(CASE WHEN kpi = 'produced' THEN amount ELSE -amount END) <> 0
ORDER BY
  tenant_id NULLS FIRST,
  on_date NULLS FIRST
