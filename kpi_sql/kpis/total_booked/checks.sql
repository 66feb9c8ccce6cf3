-- A sold estimate is counted once.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, source_id AS estimate_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'total_booked'
GROUP BY tenant_id, source_id
HAVING COUNT(source_id) <> 1
ORDER BY times DESC, estimate_id;

-- No estimate was sold for less than nothing.
-- check: warn not_negative
-- way_on: Look at the estimate in ServiceTitan: a discount may be larger than its work.
-- accepted_by: estimate_id
SELECT tenant_id, source_id AS estimate_id, on_date, amount
FROM st_kpi.contributions
WHERE kpi = 'total_booked'
  AND amount < 0
ORDER BY amount, estimate_id;

-- No sale is dated after the as-of day.
-- check: warn not_in_the_future
-- way_on: Put the day of sale right in ServiceTitan; until then the sale is in a week to come.
-- accepted_by: estimate_id
SELECT tenant_id, source_id AS estimate_id, on_date, amount
FROM st_kpi.contributions
WHERE kpi = 'total_booked'
  AND on_date > @as_of
ORDER BY on_date, estimate_id
