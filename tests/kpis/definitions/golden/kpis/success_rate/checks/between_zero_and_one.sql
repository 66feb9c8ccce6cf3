/* The rate lies between none and all. */
/* check: fail between_zero_and_one */
/* way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build. */
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
