/* The week that closed last has about as many rows behind each KPI as the eight before it: half to double. */
/* check: warn */
/* way_on: Ask `st-kpi status` whether all was read, and `st-kpi diff` what changed; a holiday week may be right as it is. */
/* accepted_by: kpi, week_start */
WITH weekly AS (
  SELECT
    counted.tenant_id,
    counted.kpi,
    CAST(DATE_TRUNC('WEEK', counted.on_date) AS DATE) AS week_start,
    CAST(COUNT(counted.kpi) AS DECIMAL(38, 9)) AS row_count
  FROM st_kpi.contributions AS counted
  JOIN st_ref.dim_kpis AS kpi /* no tenant: a KPI means the same for everyone */
    ON kpi.kpi = counted.kpi
  WHERE
    kpi.kind <> 'snapshot'
    AND counted.on_date BETWEEN CAST($as_of - INTERVAL '80' DAY AS DATE) AND $as_of
  GROUP BY
    counted.tenant_id,
    counted.kpi,
    CAST(DATE_TRUNC('WEEK', counted.on_date) AS DATE)
), compared AS (
  SELECT
    weekly.tenant_id,
    weekly.kpi,
    last_week.week_start,
    SUM(
      CASE
        WHEN weekly.week_start = last_week.week_start
        THEN weekly.row_count
        ELSE CAST(0 AS DECIMAL(38, 9))
      END
    ) AS row_count,
    (
      CASE
        WHEN CAST(8 AS DECIMAL(38, 9)) = 0
        THEN NULL
        ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(
          CAST(SUM(
            CASE
              WHEN weekly.week_start < last_week.week_start
              THEN weekly.row_count
              ELSE CAST(0 AS DECIMAL(38, 9))
            END
          ) AS DECIMAL(38, 9))
        ) * SIGN(CAST(8 AS DECIMAL(38, 9))) * (
          (
            CAST(ABS(
              CAST(SUM(
                CASE
                  WHEN weekly.week_start < last_week.week_start
                  THEN weekly.row_count
                  ELSE CAST(0 AS DECIMAL(38, 9))
                END
              ) AS DECIMAL(38, 9))
            ) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(8 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          ) // (
            CAST(2 AS INT128) * CAST(ABS(CAST(8 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          )
        ) AS DECIMAL(29, 0))
      END
    ) AS usual
  FROM weekly
  JOIN st_ref.dim_weeks AS last_week /* no tenant: the calendar is everyone's */
    ON last_week.week_start = CAST(CAST(DATE_TRUNC('WEEK', $as_of) AS DATE) - INTERVAL '7' DAY AS DATE)
  WHERE
    weekly.week_start BETWEEN CAST(last_week.week_start - INTERVAL '56' DAY AS DATE) AND last_week.week_start
  GROUP BY
    weekly.tenant_id,
    weekly.kpi,
    last_week.week_start
)
SELECT
  tenant_id,
  kpi,
  week_start,
  row_count,
  usual
FROM compared
/* Few rows vary by chance. */
WHERE
  usual >= 20
  AND NOT (
    row_count BETWEEN (
      CASE
        WHEN CAST(2 AS DECIMAL(38, 9)) = 0
        THEN NULL
        ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(usual AS DECIMAL(38, 9))) * SIGN(CAST(2 AS DECIMAL(38, 9))) * (
          (
            CAST(ABS(CAST(usual AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(2 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          ) // (
            CAST(2 AS INT128) * CAST(ABS(CAST(2 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          )
        ) AS DECIMAL(29, 0))
      END
    ) AND 2 * usual
  )
ORDER BY
  tenant_id NULLS FIRST,
  kpi NULLS FIRST
