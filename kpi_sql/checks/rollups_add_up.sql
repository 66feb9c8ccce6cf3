-- The days add up to the contributions: nothing is lost or doubled on the way to the published numbers.
-- check: fail
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
WITH summed AS (
  SELECT counted.tenant_id, counted.kpi, SUM(IF(counted.part = 'denominator', -counted.amount, counted.amount)) AS amount
  FROM st_kpi.contributions AS counted
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = counted.tenant_id
    AND unit.business_unit_id = counted.business_unit_id
    AND counted.on_date BETWEEN unit.valid_from AND unit.valid_to
  WHERE counted.on_date IS NOT NULL
    -- Of an older snapshot day: a unit that does not count any more.
    AND COALESCE(unit.role, '') <> 'NONE'
  GROUP BY counted.tenant_id, counted.kpi
),

daily AS (
  SELECT tenant_id, kpi, SUM(numerator - COALESCE(denominator, CAST(0 AS NUMERIC))) AS amount
  FROM st_kpi.kpi_daily
  GROUP BY tenant_id, kpi
)

SELECT summed.tenant_id, summed.kpi, summed.amount AS counted, daily.amount AS published
FROM summed
LEFT JOIN daily
  ON daily.tenant_id = summed.tenant_id AND daily.kpi = summed.kpi
WHERE summed.amount <> COALESCE(daily.amount, CAST(0 AS NUMERIC))
ORDER BY summed.tenant_id, summed.kpi
