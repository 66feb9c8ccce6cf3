-- The revenue is that of $ Produced, to the cent, on every day.
-- check: fail same_revenue_as_produced
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT
  tenant_id,
  on_date,
  SUM(IF(kpi = 'produced', amount, CAST(0 AS NUMERIC))) AS produced,
  SUM(IF(kpi = 'gpm', amount, CAST(0 AS NUMERIC))) AS gpm
FROM st_kpi.contributions
WHERE kpi = 'produced'
  OR (kpi = 'gpm' AND part = 'denominator')
GROUP BY tenant_id, on_date
HAVING SUM(IF(kpi = 'produced', amount, -amount)) <> 0
ORDER BY tenant_id, on_date;

-- Work has a cost: of the last twelve closed weeks none has revenue and no cost at all, company-wide.
-- check: warn work_has_cost
-- way_on: Costs were not read, or not yet: see inputs_read, and `st-kpi status` for pay and purchases. A setting cost_source that names documents nobody writes has the same effect.
-- accepted_by: week_start
SELECT tenant_id, week_start, SUM(denominator) AS revenue
FROM st_kpi.kpi_weekly
WHERE kpi = 'gpm'
  AND week_start BETWEEN DATE_SUB(@as_of, INTERVAL 91 DAY) AND DATE_SUB(@as_of, INTERVAL 7 DAY)
GROUP BY tenant_id, week_start
HAVING SUM(denominator) > 0 AND SUM(numerator) = SUM(denominator)
ORDER BY tenant_id, week_start;

-- Nothing is left over beyond the revenue: no closed week has less than no cost.
-- check: warn not_above_one
-- way_on: `st-kpi explain gpm --week DAY` lists the costs that are less than nothing: a return or a correction of pay without what it corrects.
-- accepted_by: week_start
SELECT tenant_id, week_start, SUM(numerator) AS margin, SUM(denominator) AS revenue
FROM st_kpi.kpi_weekly
WHERE kpi = 'gpm'
  AND week_start <= DATE_SUB(@as_of, INTERVAL 7 DAY)
GROUP BY tenant_id, week_start
HAVING SUM(denominator) > 0 AND SUM(numerator) > SUM(denominator)
ORDER BY tenant_id, week_start
