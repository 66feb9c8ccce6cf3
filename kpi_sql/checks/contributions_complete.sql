-- A contribution says what it counts, how much and where it comes from, and is a numerator, denominator or value.
-- check: fail
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, kpi, part, source_entity, source_id, amount, reason
FROM st_kpi.contributions
WHERE tenant_id IS NULL
  OR kpi IS NULL
  OR COALESCE(part, '') NOT IN ('value', 'numerator', 'denominator')
  OR source_entity IS NULL
  OR amount IS NULL
  OR reason IS NULL
ORDER BY kpi, source_entity, source_id
