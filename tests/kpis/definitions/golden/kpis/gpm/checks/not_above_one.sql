/* Nothing is left over beyond the revenue: no closed week has less than no cost. */
/* check: warn not_above_one */
/* way_on: `st-kpi explain gpm --week DAY` lists the costs that are less than nothing: a return or a correction of pay without what it corrects. */
/* accepted_by: week_start */
SELECT
  tenant_id,
  week_start,
  SUM(numerator) AS margin,
  SUM(denominator) AS revenue
FROM st_kpi.kpi_weekly
WHERE
  kpi = 'gpm' AND week_start <= CAST($as_of - INTERVAL '7' DAY AS DATE)
GROUP BY
  tenant_id,
  week_start
HAVING
  SUM(denominator) > 0 AND SUM(numerator) > SUM(denominator)
ORDER BY
  tenant_id NULLS FIRST,
  week_start NULLS FIRST
