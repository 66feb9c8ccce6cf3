/* Few visits free of charge were sold: such a sale counts in Total Booked and not here. Less than a twentieth, in 13 weeks. */
/* check: warn sold_free_of_charge */
/* way_on: Mark sold visits as chargeable in ServiceTitan, or look at the alternative success_rate/with_sold_free (`st-kpi show --kpi success_rate --alternatives`). */
/* accepted_by: tenant_id */
SELECT
  tenant_id,
  COUNT(CASE WHEN is_no_charge THEN 1 END) AS sold_free_of_charge,
  COUNT(job_id) AS sold
FROM st_staging.opportunities
WHERE
  is_closed AND on_date BETWEEN CAST($as_of - INTERVAL '91' DAY AS DATE) AND $as_of
GROUP BY
  tenant_id
HAVING
  20 * COUNT(CASE WHEN is_no_charge THEN 1 END) >= COUNT(job_id)
  AND COUNT(CASE WHEN is_no_charge THEN 1 END) > 0
ORDER BY
  tenant_id NULLS FIRST
