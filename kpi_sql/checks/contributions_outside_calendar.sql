-- Every contribution has a day that lies in a week of the calendar.
-- check: warn
-- way_on: The rows stand in no week and in no number: `st-kpi explain` does not list them, so look for their KPI and day in st_kpi.contributions and put the date right in ServiceTitan.
-- accepted_by: kpi, part, on_date
SELECT counted.tenant_id, counted.kpi, counted.part, counted.on_date, SUM(counted.amount) AS amount
FROM st_kpi.contributions AS counted
LEFT JOIN st_ref.dim_weeks AS week -- no tenant: the calendar is everyone's
  ON week.week_start = DATE_TRUNC(counted.on_date, WEEK(MONDAY))
WHERE week.week_start IS NULL
GROUP BY counted.tenant_id, counted.kpi, counted.part, counted.on_date
ORDER BY counted.tenant_id, counted.kpi, counted.part, counted.on_date
