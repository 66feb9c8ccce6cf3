-- The revenue is that of $ Produced, to the cent, on every day.
-- check: fail same_revenue_as_produced
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
SELECT tenant_id, week_start, SUM(denominator) AS revenue
FROM st_kpi.kpi_weekly
WHERE kpi = 'gpm'
  AND week_start BETWEEN DATE_SUB(@as_of, INTERVAL 91 DAY) AND DATE_SUB(@as_of, INTERVAL 7 DAY)
GROUP BY tenant_id, week_start
HAVING SUM(denominator) > 0 AND SUM(numerator) = SUM(denominator)
ORDER BY tenant_id, week_start;

-- Nothing is left over beyond the revenue: no closed week has less than no cost.
-- check: warn not_above_one
SELECT tenant_id, week_start, SUM(numerator) AS margin, SUM(denominator) AS revenue
FROM st_kpi.kpi_weekly
WHERE kpi = 'gpm'
  AND week_start <= DATE_SUB(@as_of, INTERVAL 7 DAY)
GROUP BY tenant_id, week_start
HAVING SUM(denominator) > 0 AND SUM(numerator) > SUM(denominator)
ORDER BY tenant_id, week_start
