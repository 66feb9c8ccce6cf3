/* Every sold estimate says when it was sold: one without stands in no week. */
/* check: warn */
SELECT
  tenant_id,
  id AS estimate_id,
  subtotal
FROM st_raw.estimates
WHERE
  COALESCE(active, TRUE) AND status_name = 'Sold' AND sold_on IS NULL
ORDER BY
  tenant_id NULLS FIRST,
  id NULLS FIRST
