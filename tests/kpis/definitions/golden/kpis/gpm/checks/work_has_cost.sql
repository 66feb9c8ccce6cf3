/* Work has a cost: of the last twelve closed weeks none has revenue and no cost at all, company-wide. */
/* check: warn work_has_cost */
/* way_on: Costs were not read, or not yet: see inputs_read, and `st-kpi status` for pay and purchases. A setting cost_source that names documents nobody writes has the same effect. */
/* accepted_by: week_start */
SELECT
  tenant_id,
  week_start,
  SUM(denominator) AS revenue
FROM st_kpi.kpi_weekly
WHERE
  kpi = 'gpm'
  AND week_start BETWEEN CAST($as_of - INTERVAL '91' DAY AS DATE) AND CAST($as_of - INTERVAL '7' DAY AS DATE)
GROUP BY
  tenant_id,
  week_start
HAVING
  SUM(denominator) > 0 AND SUM(numerator) = SUM(denominator)
ORDER BY
  tenant_id NULLS FIRST,
  week_start NULLS FIRST
