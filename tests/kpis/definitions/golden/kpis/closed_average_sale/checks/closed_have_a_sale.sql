/* A closed opportunity has a sale: without one it could not have closed. */
/* check: fail closed_have_a_sale */
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
