-- The week that closed last has about as many rows behind each KPI as the eight before it: half to double.
-- check: warn
-- way_on: Ask `st-kpi status` whether all was read, and `st-kpi diff` what changed; a holiday week may be right as it is.
-- accepted_by: kpi, week_start
WITH weekly AS (
  SELECT
    counted.tenant_id,
    counted.kpi,
    DATE_TRUNC(counted.on_date, WEEK(MONDAY)) AS week_start,
    CAST(COUNT(counted.kpi) AS NUMERIC) AS row_count
  FROM st_kpi.contributions AS counted
  JOIN st_ref.dim_kpis AS kpi -- no tenant: a KPI means the same for everyone
    ON kpi.kpi = counted.kpi
  WHERE kpi.kind <> 'snapshot'
    AND counted.on_date BETWEEN DATE_SUB(@as_of, INTERVAL 80 DAY) AND @as_of
  GROUP BY counted.tenant_id, counted.kpi, DATE_TRUNC(counted.on_date, WEEK(MONDAY))
),

compared AS (
  SELECT
    weekly.tenant_id,
    weekly.kpi,
    last_week.week_start,
    SUM(IF(weekly.week_start = last_week.week_start, weekly.row_count, CAST(0 AS NUMERIC))) AS row_count,
    SAFE_DIVIDE(
      SUM(IF(weekly.week_start < last_week.week_start, weekly.row_count, CAST(0 AS NUMERIC))), CAST(8 AS NUMERIC)
    ) AS usual
  FROM weekly
  JOIN st_ref.dim_weeks AS last_week -- no tenant: the calendar is everyone's
    ON last_week.week_start = DATE_SUB(DATE_TRUNC(@as_of, WEEK(MONDAY)), INTERVAL 7 DAY)
  WHERE weekly.week_start BETWEEN DATE_SUB(last_week.week_start, INTERVAL 56 DAY) AND last_week.week_start
  GROUP BY weekly.tenant_id, weekly.kpi, last_week.week_start
)

SELECT tenant_id, kpi, week_start, row_count, usual
FROM compared
-- Few rows vary by chance.
WHERE usual >= 20
  AND NOT (row_count BETWEEN SAFE_DIVIDE(usual, CAST(2 AS NUMERIC)) AND 2 * usual)
ORDER BY tenant_id, kpi
