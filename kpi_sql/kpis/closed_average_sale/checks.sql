-- A closed opportunity has a sale: without one it could not have closed.
-- check: fail closed_have_a_sale
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT closed.tenant_id, closed.job_id, closed.on_date
FROM st_kpi.contributions AS closed
LEFT JOIN st_kpi.contributions AS sale
  ON sale.tenant_id = closed.tenant_id
  AND sale.job_id = closed.job_id
  AND sale.kpi = 'closed_average_sale'
  AND sale.part = 'numerator'
WHERE closed.kpi = 'closed_average_sale'
  AND closed.part = 'denominator'
  AND sale.job_id IS NULL
ORDER BY closed.tenant_id, closed.job_id;

-- As many opportunities closed as in the Success Rate.
-- check: fail same_as_success_rate
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT
  tenant_id,
  on_date,
  SUM(IF(kpi = 'success_rate', amount, CAST(0 AS NUMERIC))) AS success_rate,
  SUM(IF(kpi = 'closed_average_sale', amount, CAST(0 AS NUMERIC))) AS closed_average_sale
FROM st_kpi.contributions
WHERE (kpi = 'success_rate' AND part = 'numerator')
  OR (kpi = 'closed_average_sale' AND part = 'denominator')
GROUP BY tenant_id, on_date
HAVING SUM(IF(kpi = 'success_rate', amount, CAST(0 AS NUMERIC)))
  <> SUM(IF(kpi = 'closed_average_sale', amount, CAST(0 AS NUMERIC)))
ORDER BY tenant_id, on_date
