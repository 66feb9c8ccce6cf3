-- Which rollup and role a business unit has, one row per unit and stretch of days, both ends included. One that does not
-- count has the role NONE and no rollup.
-- table: st_ref.dim_bu_rollup
SELECT
  tenant_id,
  business_unit_id,
  `rollup`,
  role,
  COALESCE(valid_from, DATE '0001-01-01') AS valid_from,
  COALESCE(valid_to, DATE '9999-12-31') AS valid_to
FROM st_staging.business_unit_mapping
