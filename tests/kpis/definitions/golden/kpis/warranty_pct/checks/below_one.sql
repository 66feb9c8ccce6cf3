/* Warranty costs less than what was produced, over the last twelve closed weeks together. */
/* check: warn below_one */
/* way_on: `st-kpi explain warranty_pct --week DAY` lists the costs; more warranty than work may be a family of job types that is mapped wrongly in job_types.csv. */
/* accepted_by: tenant_id */
SELECT
  tenant_id,
  SUM(numerator) AS warranty_cost,
  SUM(denominator) AS produced
FROM st_kpi.kpi_weekly
WHERE
  kpi = 'warranty_pct'
  AND week_start BETWEEN CAST($as_of - INTERVAL '91' DAY AS DATE) AND CAST($as_of - INTERVAL '7' DAY AS DATE)
GROUP BY
  tenant_id
HAVING
  SUM(denominator) > 0 AND NOT (
    SUM(numerator) BETWEEN 0 AND SUM(denominator)
  )
ORDER BY
  tenant_id NULLS FIRST
