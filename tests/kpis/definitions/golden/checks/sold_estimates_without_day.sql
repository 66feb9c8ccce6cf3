/* Every sold estimate says when it was sold: one without stands in no week. */
/* check: warn */
/* way_on: Give the estimates their day of sale in ServiceTitan: without one they are left out of Total Booked. */
/* accepted_by: estimate_id */
SELECT
  tenant_id,
  id AS estimate_id,
  subtotal
FROM st_raw.estimates
WHERE
  COALESCE(active, TRUE)
  AND status_name = 'Sold'
  AND NOT COALESCE(sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ), FALSE)
ORDER BY
  tenant_id NULLS FIRST,
  id NULLS FIRST
