/* No estimate was sold for less than nothing. */
/* check: warn not_negative */
/* way_on: Look at the estimate in ServiceTitan: a discount may be larger than its work. */
/* accepted_by: estimate_id */
SELECT
  tenant_id,
  source_id AS estimate_id,
  on_date,
  amount
FROM st_kpi.contributions
WHERE
  kpi = 'total_booked' AND amount < 0
ORDER BY
  amount NULLS FIRST,
  estimate_id NULLS FIRST
