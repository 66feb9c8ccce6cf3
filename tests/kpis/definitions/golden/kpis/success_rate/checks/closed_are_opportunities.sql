/* A closed opportunity is among the opportunities of its day. */
/* check: fail closed_are_opportunities */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
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
