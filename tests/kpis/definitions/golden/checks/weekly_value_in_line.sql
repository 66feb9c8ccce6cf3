/* The week that closed last has about the value the eight before it had on average: a third to the triple, company-wide. */
/* check: warn */
/* way_on: Ask `st-kpi status` whether all was read, `st-kpi diff` what changed, and `st-kpi explain` for the largest rows; a week may be right as it is. */
/* accepted_by: kpi, week_start */
WITH last_week AS (
  SELECT
    week_start
  FROM st_ref.dim_weeks
  WHERE
    week_start = CAST(CAST(DATE_TRUNC('WEEK', $as_of) AS DATE) - INTERVAL '7' DAY AS DATE)
), counted AS (
  SELECT
    contribution.tenant_id,
    contribution.kpi,
    COUNT(contribution.kpi) AS row_count
  FROM st_kpi.contributions AS contribution
  JOIN last_week /* no tenant: one day of the calendar */
    ON contribution.on_date BETWEEN CAST(last_week.week_start - INTERVAL '56' DAY AS DATE) AND last_week.week_start
  GROUP BY
    contribution.tenant_id,
    contribution.kpi
), summed AS (
  SELECT
    weekly.tenant_id,
    weekly.kpi,
    card.kind,
    last_week.week_start,
    SUM(
      CASE
        WHEN weekly.week_start = last_week.week_start
        THEN weekly.numerator
        ELSE CAST(0 AS DECIMAL(38, 9))
      END
    ) AS numerator,
    SUM(
      CASE
        WHEN weekly.week_start = last_week.week_start
        THEN weekly.denominator
        ELSE CAST(0 AS DECIMAL(38, 9))
      END
    ) AS denominator,
    SUM(
      CASE
        WHEN weekly.week_start < last_week.week_start
        THEN weekly.numerator
        ELSE CAST(0 AS DECIMAL(38, 9))
      END
    ) AS numerator_before,
    SUM(
      CASE
        WHEN weekly.week_start < last_week.week_start
        THEN weekly.denominator
        ELSE CAST(0 AS DECIMAL(38, 9))
      END
    ) AS denominator_before,
    COUNT(DISTINCT weekly.week_start) AS weeks
  FROM st_kpi.kpi_weekly AS weekly
  JOIN st_ref.dim_kpis AS card /* no tenant: a KPI means the same for everyone */
    ON card.kpi = weekly.kpi
  JOIN last_week /* no tenant: one day of the calendar */
    ON weekly.week_start BETWEEN CAST(last_week.week_start - INTERVAL '56' DAY AS DATE) AND last_week.week_start
  WHERE
    card.kind <> 'snapshot'
  GROUP BY
    weekly.tenant_id,
    weekly.kpi,
    card.kind,
    last_week.week_start
), compared AS (
  SELECT
    tenant_id,
    kpi,
    week_start,
    weeks,
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
    CASE
      WHEN kind = 'ratio'
      THEN (
        CASE
          WHEN CAST(denominator_before AS DECIMAL(38, 9)) = 0
          THEN NULL
          ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(numerator_before AS DECIMAL(38, 9))) * SIGN(CAST(denominator_before AS DECIMAL(38, 9))) * (
            (
              CAST(ABS(CAST(numerator_before AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(denominator_before AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            ) // (
              CAST(2 AS INT128) * CAST(ABS(CAST(denominator_before AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            )
          ) AS DECIMAL(29, 0))
        END
      )
      ELSE (
        CASE
          WHEN CAST(8 AS DECIMAL(38, 9)) = 0
          THEN NULL
          ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(numerator_before AS DECIMAL(38, 9))) * SIGN(CAST(8 AS DECIMAL(38, 9))) * (
            (
              CAST(ABS(CAST(numerator_before AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(8 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            ) // (
              CAST(2 AS INT128) * CAST(ABS(CAST(8 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            )
          ) AS DECIMAL(29, 0))
        END
      )
    END AS usual
  FROM summed
)
SELECT
  compared.tenant_id,
  compared.kpi,
  compared.week_start,
  compared.value,
  compared.usual
FROM compared
JOIN counted
  ON counted.tenant_id = compared.tenant_id AND counted.kpi = compared.kpi
/* A company that has just begun has nothing to be compared with, and few rows vary by chance: twenty a week are enough. */
WHERE
  compared.weeks >= 8
  AND counted.row_count >= 160
  AND compared.usual <> 0
  AND (
    compared.value IS NULL
    OR NOT (
      (
        CASE
          WHEN CAST(compared.usual AS DECIMAL(38, 9)) = 0
          THEN NULL
          ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(compared.value AS DECIMAL(38, 9))) * SIGN(CAST(compared.usual AS DECIMAL(38, 9))) * (
            (
              CAST(ABS(CAST(compared.value AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(compared.usual AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            ) // (
              CAST(2 AS INT128) * CAST(ABS(CAST(compared.usual AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            )
          ) AS DECIMAL(29, 0))
        END
      ) BETWEEN (
        CASE
          WHEN CAST(3 AS DECIMAL(38, 9)) = 0
          THEN NULL
          ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(1 AS DECIMAL(38, 9))) * SIGN(CAST(3 AS DECIMAL(38, 9))) * (
            (
              CAST(ABS(CAST(1 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(3 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            ) // (
              CAST(2 AS INT128) * CAST(ABS(CAST(3 AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
            )
          ) AS DECIMAL(29, 0))
        END
      ) AND 3
    )
  )
ORDER BY
  compared.tenant_id NULLS FIRST,
  compared.kpi NULLS FIRST
