/* No sale is dated after the as-of day. */
/* check: warn not_in_the_future */
/* way_on: Put the day of sale right in ServiceTitan; until then the sale is in a week to come. */
/* accepted_by: estimate_id */
SELECT
  tenant_id,
  source_id AS estimate_id,
  on_date,
  amount
FROM st_kpi.contributions
WHERE
  kpi = 'total_booked' AND on_date > $as_of
ORDER BY
  on_date NULLS FIRST,
  estimate_id NULLS FIRST
