-- The revenue is that of $ Produced, to the cent, on every day.
-- check: fail same_revenue_as_produced
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
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
-- way_on: `st-kpi explain warranty_pct --week DAY` lists the costs; more warranty than work may be a family of job types that is mapped wrongly in job_types.csv.
-- accepted_by: tenant_id
SELECT tenant_id, SUM(numerator) AS warranty_cost, SUM(denominator) AS produced
FROM st_kpi.kpi_weekly
WHERE kpi = 'warranty_pct'
  AND week_start BETWEEN DATE_SUB(@as_of, INTERVAL 91 DAY) AND DATE_SUB(@as_of, INTERVAL 7 DAY)
GROUP BY tenant_id
HAVING SUM(denominator) > 0 AND NOT (SUM(numerator) BETWEEN 0 AND SUM(denominator))
ORDER BY tenant_id
