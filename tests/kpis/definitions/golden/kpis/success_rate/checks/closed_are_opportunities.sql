/* A closed opportunity is among the opportunities of its day. */
/* check: fail closed_are_opportunities */
SELECT
  closed.tenant_id,
  closed.job_id,
  closed.on_date
FROM st_kpi.contributions AS closed
LEFT JOIN st_kpi.contributions AS opportunity
  ON opportunity.tenant_id = closed.tenant_id
  AND opportunity.job_id = closed.job_id
  AND opportunity.on_date = closed.on_date
  AND opportunity.kpi = 'success_rate'
  AND opportunity.part = 'denominator'
WHERE
  closed.kpi = 'success_rate'
  AND closed.part = 'numerator'
  AND opportunity.job_id IS NULL
ORDER BY
  closed.tenant_id NULLS FIRST,
  closed.job_id NULLS FIRST
