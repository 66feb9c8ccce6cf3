-- The week that closed last has about the value the eight before it had on average: a third to the triple, company-wide.
-- check: warn
-- way_on: Ask `st-kpi status` whether all was read, `st-kpi diff` what changed, and `st-kpi explain` for the largest rows; a week may be right as it is.
-- accepted_by: kpi, week_start
WITH last_week AS (
  SELECT week_start
  FROM st_ref.dim_weeks
  WHERE week_start = DATE_SUB(DATE_TRUNC(@as_of, WEEK(MONDAY)), INTERVAL 7 DAY)
),

counted AS (
  SELECT contribution.tenant_id, contribution.kpi, COUNT(contribution.kpi) AS row_count
  FROM st_kpi.contributions AS contribution
  JOIN last_week -- no tenant: one day of the calendar
    ON contribution.on_date BETWEEN DATE_SUB(last_week.week_start, INTERVAL 56 DAY) AND last_week.week_start
  GROUP BY contribution.tenant_id, contribution.kpi
),

summed AS (
  SELECT
    weekly.tenant_id,
    weekly.kpi,
    card.kind,
    last_week.week_start,
    SUM(IF(weekly.week_start = last_week.week_start, weekly.numerator, CAST(0 AS NUMERIC))) AS numerator,
    SUM(IF(weekly.week_start = last_week.week_start, weekly.denominator, CAST(0 AS NUMERIC))) AS denominator,
    SUM(IF(weekly.week_start < last_week.week_start, weekly.numerator, CAST(0 AS NUMERIC))) AS numerator_before,
    SUM(IF(weekly.week_start < last_week.week_start, weekly.denominator, CAST(0 AS NUMERIC))) AS denominator_before,
    COUNT(DISTINCT weekly.week_start) AS weeks
  FROM st_kpi.kpi_weekly AS weekly
  JOIN st_ref.dim_kpis AS card -- no tenant: a KPI means the same for everyone
    ON card.kpi = weekly.kpi
  JOIN last_week -- no tenant: one day of the calendar
    ON weekly.week_start BETWEEN DATE_SUB(last_week.week_start, INTERVAL 56 DAY) AND last_week.week_start
  WHERE card.kind <> 'snapshot'
  GROUP BY weekly.tenant_id, weekly.kpi, card.kind, last_week.week_start
),

compared AS (
  SELECT
    tenant_id,
    kpi,
    week_start,
    weeks,
    IF(kind = 'ratio', SAFE_DIVIDE(numerator, denominator), numerator) AS value,
    IF(
      kind = 'ratio',
      SAFE_DIVIDE(numerator_before, denominator_before),
      SAFE_DIVIDE(numerator_before, CAST(8 AS NUMERIC))
    ) AS usual
  FROM summed
)

SELECT compared.tenant_id, compared.kpi, compared.week_start, compared.value, compared.usual
FROM compared
JOIN counted
  ON counted.tenant_id = compared.tenant_id AND counted.kpi = compared.kpi
-- A company that has just begun has nothing to be compared with, and few rows vary by chance: twenty a week are enough.
WHERE compared.weeks >= 8
  AND counted.row_count >= 160
  AND compared.usual <> 0
  AND (
    compared.value IS NULL
    OR NOT (
      SAFE_DIVIDE(compared.value, compared.usual) BETWEEN SAFE_DIVIDE(CAST(1 AS NUMERIC), CAST(3 AS NUMERIC)) AND 3
    )
  )
ORDER BY compared.tenant_id, compared.kpi
