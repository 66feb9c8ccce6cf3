/* Business units, one row each, with the rollup and role they have on the as-of day. */
/* table: st_ref.dim_business_units */
SELECT
  unit.tenant_id,
  unit.id AS business_unit_id,
  unit.name AS business_unit,
  COALESCE(unit.active, TRUE) AS is_active,
  mapped."rollup",
  mapped.role
FROM st_raw.business_units AS unit
LEFT JOIN st_ref.dim_bu_rollup AS mapped
  ON mapped.tenant_id = unit.tenant_id
  AND mapped.business_unit_id = unit.id
  AND $as_of BETWEEN mapped.valid_from AND mapped.valid_to
