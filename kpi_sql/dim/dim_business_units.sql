-- Business units, one row each, with the rollup and role they have on the as-of day.
-- table: st_ref.dim_business_units
WITH units AS (
  SELECT tenant_id, id AS business_unit_id, name AS business_unit, COALESCE(active, TRUE) AS is_active
  FROM st_raw.business_units
  UNION ALL
  -- One that ServiceTitan does not list any more has a line of the mapping alone, by its id.
  SELECT named.tenant_id, named.business_unit_id, CAST(NULL AS STRING) AS business_unit, FALSE AS is_active
  FROM st_ref.dim_bu_rollup AS named
  LEFT JOIN st_raw.business_units AS listed
    ON listed.tenant_id = named.tenant_id AND listed.id = named.business_unit_id
  WHERE listed.id IS NULL
  GROUP BY named.tenant_id, named.business_unit_id
)

SELECT
  unit.tenant_id,
  unit.business_unit_id,
  unit.business_unit,
  unit.is_active,
  mapped.`rollup`,
  mapped.role
FROM units AS unit
LEFT JOIN st_ref.dim_bu_rollup AS mapped
  ON mapped.tenant_id = unit.tenant_id
  AND mapped.business_unit_id = unit.business_unit_id
  AND @as_of BETWEEN mapped.valid_from AND mapped.valid_to
