/* The days add up to the contributions: nothing is lost or doubled on the way to the published numbers. */
/* check: fail */
WITH summed AS (
  SELECT
    tenant_id,
    kpi,
    SUM(CASE WHEN part = 'denominator' THEN -amount ELSE amount END) AS amount
  FROM st_kpi.contributions
  WHERE
    NOT on_date IS NULL
  GROUP BY
    tenant_id,
    kpi
), daily AS (
  SELECT
    tenant_id,
    kpi,
    SUM(numerator - COALESCE(denominator, CAST(0 AS DECIMAL(38, 9)))) AS amount
  FROM st_kpi.kpi_daily
  GROUP BY
    tenant_id,
    kpi
)
SELECT
  summed.tenant_id,
  summed.kpi,
  summed.amount AS counted,
  daily.amount AS published
FROM summed
LEFT JOIN daily
  ON daily.tenant_id = summed.tenant_id AND daily.kpi = summed.kpi
WHERE
  summed.amount <> COALESCE(daily.amount, CAST(0 AS DECIMAL(38, 9)))
ORDER BY
  summed.tenant_id NULLS FIRST,
  summed.kpi NULLS FIRST
