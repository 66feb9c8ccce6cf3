-- The business unit of a contribution is one that the source lists or the mapping names.
-- check: fail
-- way_on: Name the unit by its id in business_units.csv, with a rollup or as NONE, or run `st-kpi backfill`, which reads the list of units.
SELECT counted.tenant_id, counted.kpi, counted.business_unit_id, SUM(counted.amount) AS amount
FROM st_kpi.contributions AS counted
LEFT JOIN st_ref.dim_business_units AS unit
  ON unit.tenant_id = counted.tenant_id AND unit.business_unit_id = counted.business_unit_id
WHERE counted.business_unit_id IS NOT NULL
  AND unit.business_unit_id IS NULL
GROUP BY counted.tenant_id, counted.kpi, counted.business_unit_id
ORDER BY counted.kpi, counted.business_unit_id
