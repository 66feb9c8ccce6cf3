/* The rate lies between none and all. */
/* check: fail between_zero_and_one */
SELECT
  tenant_id,
  "rollup",
  week_start,
  value
FROM st_kpi.kpi_weekly
WHERE
  kpi = 'success_rate' AND NOT (
    value BETWEEN 0 AND 1
  )
ORDER BY
  week_start NULLS FIRST,
  "rollup" NULLS FIRST
