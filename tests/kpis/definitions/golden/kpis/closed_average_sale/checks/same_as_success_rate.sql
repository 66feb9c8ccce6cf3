/* As many opportunities closed as in the Success Rate. */
/* check: fail same_as_success_rate */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
SELECT
  tenant_id,
  on_date,
  SUM(CASE WHEN kpi = 'success_rate' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS success_rate,
  SUM(
    CASE WHEN kpi = 'closed_average_sale' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END
  ) AS closed_average_sale
FROM st_kpi.contributions
WHERE
  (
    kpi = 'success_rate' AND part = 'numerator'
  )
  OR (
    kpi = 'closed_average_sale' AND part = 'denominator'
  )
GROUP BY
  tenant_id,
  on_date
HAVING
  SUM(CASE WHEN kpi = 'success_rate' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) <> SUM(
    CASE WHEN kpi = 'closed_average_sale' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END
  )
ORDER BY
  tenant_id NULLS FIRST,
  on_date NULLS FIRST
