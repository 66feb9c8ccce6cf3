-- An opportunity is one job, on one day.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, part, job_id, COUNT(source_id) AS times
FROM st_kpi.contributions
WHERE kpi = 'success_rate'
GROUP BY tenant_id, part, job_id
HAVING COUNT(source_id) <> 1
ORDER BY times DESC, job_id;

-- A closed opportunity is among the opportunities of its day.
-- check: fail closed_are_opportunities
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT closed.tenant_id, closed.job_id, closed.on_date
FROM st_kpi.contributions AS closed
LEFT JOIN st_kpi.contributions AS opportunity
  ON opportunity.tenant_id = closed.tenant_id
  AND opportunity.job_id = closed.job_id
  AND opportunity.on_date = closed.on_date
  AND opportunity.kpi = 'success_rate'
  AND opportunity.part = 'denominator'
WHERE closed.kpi = 'success_rate'
  AND closed.part = 'numerator'
  AND opportunity.job_id IS NULL
ORDER BY closed.tenant_id, closed.job_id;

-- The rate lies between none and all.
-- check: fail between_zero_and_one
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, `rollup`, week_start, value
FROM st_kpi.kpi_weekly
WHERE kpi = 'success_rate'
  AND NOT (value BETWEEN 0 AND 1)
ORDER BY week_start, `rollup`;

-- Few visits free of charge were sold: such a sale counts in Total Booked and not here. Less than a twentieth, in 13 weeks.
-- check: warn sold_free_of_charge
-- way_on: Mark sold visits as chargeable in ServiceTitan, or look at the alternative success_rate/with_sold_free (`st-kpi show --kpi success_rate --alternatives`).
-- accepted_by: tenant_id
SELECT
  tenant_id,
  COUNTIF(is_no_charge) AS sold_free_of_charge,
  COUNT(job_id) AS sold
FROM st_staging.opportunities
WHERE is_closed
  AND on_date BETWEEN DATE_SUB(@as_of, INTERVAL 91 DAY) AND @as_of
GROUP BY tenant_id
HAVING 20 * COUNTIF(is_no_charge) >= COUNT(job_id) AND COUNTIF(is_no_charge) > 0
ORDER BY tenant_id
