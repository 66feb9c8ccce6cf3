/* A closed opportunity has a sale: without one it could not have closed. */
/* check: fail closed_have_a_sale */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
SELECT
  closed.tenant_id,
  closed.job_id,
  closed.on_date
FROM st_kpi.contributions AS closed
LEFT JOIN st_kpi.contributions AS sale
  ON sale.tenant_id = closed.tenant_id
  AND sale.job_id = closed.job_id
  AND sale.kpi = 'closed_average_sale'
  AND sale.part = 'numerator'
WHERE
  closed.kpi = 'closed_average_sale'
  AND closed.part = 'denominator'
  AND sale.job_id IS NULL
ORDER BY
  closed.tenant_id NULLS FIRST,
  closed.job_id NULLS FIRST
