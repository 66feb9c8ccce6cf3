-- One row per week and rollup, a column per KPI: what a BI tool connects to. Sums without rows are zero, but NULL in a
-- week that the data do not reach; a ratio without a denominator is NULL, and so is a snapshot in a week without one.
-- To total ratios over rows, add up their numerators and denominators and divide those.
-- table: st_kpi.kpi_weekly_wide
WITH rollups AS (
  SELECT tenant_id, `rollup`
  FROM st_ref.dim_bu_rollup
  WHERE `rollup` IS NOT NULL
  GROUP BY tenant_id, `rollup`
),

data_weeks AS (
  SELECT tenant_id, week_start
  FROM st_kpi.kpi_weekly
  GROUP BY tenant_id, week_start
),

first_weeks AS (
  SELECT tenant_id, MIN(week_start) AS week_start
  FROM data_weeks
  GROUP BY tenant_id
),

weeks AS (
  SELECT first_week.tenant_id, week.week_start, TRUE AS is_known
  FROM first_weeks AS first_week
  JOIN st_ref.dim_weeks AS week -- no tenant: the calendar is everyone's
    ON week.week_start BETWEEN first_week.week_start
      AND LEAST(@as_of, COALESCE(DATE(CAST(@input_watermark AS TIMESTAMP), @timezone), @as_of))
  UNION ALL
  SELECT tenant_id, week_start, FALSE AS is_known
  FROM data_weeks
  WHERE week_start > LEAST(@as_of, COALESCE(DATE(CAST(@input_watermark AS TIMESTAMP), @timezone), @as_of))
),

measured AS (
  SELECT tenant_id, kpi, DATE_TRUNC(day, WEEK(MONDAY)) AS week_start
  FROM st_kpi.snapshot_days
  GROUP BY tenant_id, kpi, DATE_TRUNC(day, WEEK(MONDAY))
),

measured_weeks AS (
  SELECT
    tenant_id,
    week_start,
    LOGICAL_OR(kpi = 'future_bookings') AS has_future_bookings,
    LOGICAL_OR(kpi = 'outstanding_ar') AS has_outstanding_ar
  FROM measured
  GROUP BY tenant_id, week_start
),

spread AS (
  SELECT
    tenant_id,
    `rollup`,
    week_start,
    SUM(IF(kpi = 'leads', numerator, NULL)) AS leads,
    SUM(IF(kpi = 'total_booked', numerator, NULL)) AS total_booked,
    SUM(IF(kpi = 'produced', numerator, NULL)) AS produced,
    SUM(IF(kpi = 'gpm', numerator, NULL)) AS gpm_numerator,
    SUM(IF(kpi = 'gpm', denominator, NULL)) AS gpm_denominator,
    SUM(IF(kpi = 'collected', numerator, NULL)) AS collected,
    SUM(IF(kpi = 'estimates', numerator, NULL)) AS estimates,
    SUM(IF(kpi = 'success_rate', numerator, NULL)) AS success_rate_numerator,
    SUM(IF(kpi = 'success_rate', denominator, NULL)) AS success_rate_denominator,
    SUM(IF(kpi = 'future_bookings', numerator, NULL)) AS future_bookings,
    SUM(IF(kpi = 'warranty_pct', numerator, NULL)) AS warranty_pct_numerator,
    SUM(IF(kpi = 'warranty_pct', denominator, NULL)) AS warranty_pct_denominator,
    SUM(IF(kpi = 'outstanding_ar', numerator, NULL)) AS outstanding_ar,
    SUM(IF(kpi = 'estimates_scheduled', numerator, NULL)) AS estimates_scheduled,
    SUM(IF(kpi = 'closed_average_sale', numerator, NULL)) AS closed_average_sale_numerator,
    SUM(IF(kpi = 'closed_average_sale', denominator, NULL)) AS closed_average_sale_denominator
  FROM st_kpi.kpi_weekly
  GROUP BY tenant_id, `rollup`, week_start
)

SELECT
  rollups.tenant_id,
  weeks.week_start,
  rollups.`rollup`,
  COALESCE(spread.leads, IF(weeks.is_known, CAST(0 AS NUMERIC), NULL)) AS leads,
  COALESCE(spread.total_booked, IF(weeks.is_known, CAST(0 AS NUMERIC), NULL)) AS total_booked,
  COALESCE(spread.produced, IF(weeks.is_known, CAST(0 AS NUMERIC), NULL)) AS produced,
  SAFE_DIVIDE(spread.gpm_numerator, spread.gpm_denominator) AS gpm,
  COALESCE(spread.collected, IF(weeks.is_known, CAST(0 AS NUMERIC), NULL)) AS collected,
  COALESCE(spread.estimates, IF(weeks.is_known, CAST(0 AS NUMERIC), NULL)) AS estimates,
  SAFE_DIVIDE(spread.success_rate_numerator, spread.success_rate_denominator) AS success_rate,
  IF(measured_weeks.has_future_bookings, COALESCE(spread.future_bookings, CAST(0 AS NUMERIC)), NULL) AS future_bookings,
  SAFE_DIVIDE(spread.warranty_pct_numerator, spread.warranty_pct_denominator) AS warranty_pct,
  IF(measured_weeks.has_outstanding_ar, COALESCE(spread.outstanding_ar, CAST(0 AS NUMERIC)), NULL) AS outstanding_ar,
  COALESCE(spread.estimates_scheduled, IF(weeks.is_known, CAST(0 AS NUMERIC), NULL)) AS estimates_scheduled,
  SAFE_DIVIDE(spread.closed_average_sale_numerator, spread.closed_average_sale_denominator) AS closed_average_sale,
  COALESCE(spread.gpm_numerator, CAST(0 AS NUMERIC)) AS gpm_numerator,
  COALESCE(spread.gpm_denominator, CAST(0 AS NUMERIC)) AS gpm_denominator,
  COALESCE(spread.success_rate_numerator, CAST(0 AS NUMERIC)) AS success_rate_numerator,
  COALESCE(spread.success_rate_denominator, CAST(0 AS NUMERIC)) AS success_rate_denominator,
  COALESCE(spread.warranty_pct_numerator, CAST(0 AS NUMERIC)) AS warranty_pct_numerator,
  COALESCE(spread.warranty_pct_denominator, CAST(0 AS NUMERIC)) AS warranty_pct_denominator,
  COALESCE(spread.closed_average_sale_numerator, CAST(0 AS NUMERIC)) AS closed_average_sale_numerator,
  COALESCE(spread.closed_average_sale_denominator, CAST(0 AS NUMERIC)) AS closed_average_sale_denominator,
  @as_of AS as_of,
  CAST(@input_watermark AS TIMESTAMP) AS input_watermark
FROM rollups
JOIN weeks
  ON weeks.tenant_id = rollups.tenant_id
LEFT JOIN measured_weeks
  ON measured_weeks.tenant_id = rollups.tenant_id AND measured_weeks.week_start = weeks.week_start
LEFT JOIN spread
  ON spread.tenant_id = rollups.tenant_id
  AND spread.`rollup` = rollups.`rollup`
  AND spread.week_start = weeks.week_start
