-- The revenue is that of $ Produced, to the cent, on every day.
-- check: fail same_revenue_as_produced
SELECT
  tenant_id,
  on_date,
  SUM(IF(kpi = 'produced', amount, CAST(0 AS NUMERIC))) AS produced,
  SUM(IF(kpi = 'warranty_pct', amount, CAST(0 AS NUMERIC))) AS warranty_pct
FROM st_kpi.contributions
WHERE kpi = 'produced'
  OR (kpi = 'warranty_pct' AND part = 'denominator')
GROUP BY tenant_id, on_date
HAVING SUM(IF(kpi = 'produced', amount, -amount)) <> 0
ORDER BY tenant_id, on_date;

-- Warranty costs less than what was produced, over the last twelve closed weeks together.
-- check: warn below_one
SELECT tenant_id, SUM(numerator) AS warranty_cost, SUM(denominator) AS produced
FROM st_kpi.kpi_weekly
WHERE kpi = 'warranty_pct'
  AND week_start BETWEEN DATE_SUB(@as_of, INTERVAL 91 DAY) AND DATE_SUB(@as_of, INTERVAL 7 DAY)
GROUP BY tenant_id
HAVING SUM(denominator) > 0 AND NOT (SUM(numerator) BETWEEN 0 AND SUM(denominator))
ORDER BY tenant_id
