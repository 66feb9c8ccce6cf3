/* The rows that the mapping of business units lost (copies -1) and got (copies 1) with the build. */
/* history: st_ops.mapping_changes append */
WITH states AS (
  SELECT
    FALSE AS is_now,
    tenant_id,
    business_unit_id,
    "rollup",
    role,
    valid_from,
    valid_to
  FROM st_staging.previous_bu_rollup
  UNION ALL
  SELECT
    TRUE AS is_now,
    tenant_id,
    business_unit_id,
    "rollup",
    role,
    valid_from,
    valid_to
  FROM st_ref.dim_bu_rollup
)
SELECT
  $build AS build,
  COUNT(CASE WHEN is_now THEN 1 END) - COUNT(CASE WHEN NOT is_now THEN 1 END) AS copies,
  tenant_id,
  business_unit_id,
  "rollup",
  role,
  valid_from,
  valid_to
FROM states
GROUP BY
  tenant_id,
  business_unit_id,
  "rollup",
  role,
  valid_from,
  valid_to
HAVING
  COUNT(CASE WHEN is_now THEN 1 END) <> COUNT(CASE WHEN NOT is_now THEN 1 END)
