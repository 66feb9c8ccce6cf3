/* Every KPI per week and rollup; of a snapshot KPI, the last day of the week on which it was measured. */
/* table: st_kpi.kpi_weekly */
WITH last_measured AS (
  SELECT
    measured.tenant_id,
    measured.kpi,
    week.week_start,
    MAX(measured.day) AS day
  FROM st_kpi.snapshot_days AS measured
  JOIN st_ref.dim_weeks AS week /* no tenant: the calendar is everyone's */
    ON week.week_start = CAST(DATE_TRUNC('WEEK', measured.day) AS DATE)
  GROUP BY
    measured.tenant_id,
    measured.kpi,
    week.week_start
), counted AS (
  SELECT
    daily.tenant_id,
    daily.kpi,
    kpi.kind,
    week.week_start,
    daily."rollup",
    daily.role,
    daily.numerator,
    daily.denominator,
    daily.as_of,
    daily.input_watermark,
    daily.definition_version
  FROM st_kpi.kpi_daily AS daily
  JOIN st_ref.dim_kpis AS kpi /* no tenant: a KPI means the same for everyone */
    ON kpi.kpi = daily.kpi
  JOIN st_ref.dim_weeks AS week /* no tenant: the calendar is everyone's */
    ON week.week_start = CAST(DATE_TRUNC('WEEK', daily.day) AS DATE)
  LEFT JOIN last_measured
    ON last_measured.tenant_id = daily.tenant_id
    AND last_measured.kpi = daily.kpi
    AND last_measured.day = daily.day
  WHERE
    kpi.kind <> 'snapshot' OR NOT last_measured.day IS NULL
), summed AS (
  SELECT
    tenant_id,
    kpi,
    kind,
    "rollup",
    role,
    week_start,
    SUM(numerator) AS numerator,
    SUM(denominator) AS denominator,
    MAX(as_of) AS as_of,
    MAX(input_watermark) AS input_watermark,
    MAX(definition_version) AS definition_version
  FROM counted
  GROUP BY
    tenant_id,
    kpi,
    kind,
    "rollup",
    role,
    week_start
)
SELECT
  tenant_id,
  kpi,
  "rollup",
  role,
  week_start,
  numerator,
  denominator,
  CASE
    WHEN kind = 'ratio'
    THEN (
      CASE
        WHEN CAST(denominator AS DECIMAL(38, 9)) = 0
        THEN NULL
        ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(numerator AS DECIMAL(38, 9))) * SIGN(CAST(denominator AS DECIMAL(38, 9))) * (
          (
            CAST(ABS(CAST(numerator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          ) // (
            CAST(2 AS INT128) * CAST(ABS(CAST(denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          )
        ) AS DECIMAL(29, 0))
      END
    )
    ELSE numerator
  END AS value,
  as_of,
  input_watermark,
  definition_version
FROM summed
