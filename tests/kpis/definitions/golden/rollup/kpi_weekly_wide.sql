/* One row per week and rollup, a column per KPI: what a BI tool connects to. Sums without rows are zero, but NULL in a */
/* week that the data do not reach; a ratio without a denominator is NULL, and so is a snapshot in a week without one. */
/* To total ratios over rows, add up their numerators and denominators and divide those. */
/* table: st_kpi.kpi_weekly_wide */
WITH rollups AS (
  SELECT
    tenant_id,
    "rollup"
  FROM st_ref.dim_bu_rollup
  WHERE
    NOT "rollup" IS NULL
  GROUP BY
    tenant_id,
    "rollup"
), data_weeks AS (
  SELECT
    tenant_id,
    week_start
  FROM st_kpi.kpi_weekly
  GROUP BY
    tenant_id,
    week_start
), first_weeks AS (
  SELECT
    tenant_id,
    MIN(week_start) AS week_start
  FROM data_weeks
  GROUP BY
    tenant_id
), weeks AS (
  SELECT
    first_week.tenant_id,
    week.week_start,
    TRUE AS is_known
  FROM first_weeks AS first_week
  JOIN st_ref.dim_weeks AS week /* no tenant: the calendar is everyone's */
    ON week.week_start BETWEEN first_week.week_start AND CASE
      WHEN $as_of IS NULL
      OR COALESCE(CAST(CAST($input_watermark AS TIMESTAMPTZ) AT TIME ZONE $timezone AS DATE), $as_of) IS NULL
      THEN NULL
      ELSE LEAST(
        $as_of,
        COALESCE(CAST(CAST($input_watermark AS TIMESTAMPTZ) AT TIME ZONE $timezone AS DATE), $as_of)
      )
    END
  UNION ALL
  SELECT
    tenant_id,
    week_start,
    FALSE AS is_known
  FROM data_weeks
  WHERE
    week_start > CASE
      WHEN $as_of IS NULL
      OR COALESCE(CAST(CAST($input_watermark AS TIMESTAMPTZ) AT TIME ZONE $timezone AS DATE), $as_of) IS NULL
      THEN NULL
      ELSE LEAST(
        $as_of,
        COALESCE(CAST(CAST($input_watermark AS TIMESTAMPTZ) AT TIME ZONE $timezone AS DATE), $as_of)
      )
    END
), measured AS (
  SELECT
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', day) AS DATE) AS week_start
  FROM st_kpi.snapshot_days
  GROUP BY
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', day) AS DATE)
), measured_weeks AS (
  SELECT
    tenant_id,
    week_start,
    BOOL_OR(CAST(kpi = 'future_bookings' AS BOOLEAN)) AS has_future_bookings,
    BOOL_OR(CAST(kpi = 'outstanding_ar' AS BOOLEAN)) AS has_outstanding_ar
  FROM measured
  GROUP BY
    tenant_id,
    week_start
), spread AS (
  SELECT
    tenant_id,
    "rollup",
    week_start,
    SUM(CASE WHEN kpi = 'leads' THEN numerator ELSE NULL END) AS leads,
    SUM(CASE WHEN kpi = 'total_booked' THEN numerator ELSE NULL END) AS total_booked,
    SUM(CASE WHEN kpi = 'produced' THEN numerator ELSE NULL END) AS produced,
    SUM(CASE WHEN kpi = 'gpm' THEN numerator ELSE NULL END) AS gpm_numerator,
    SUM(CASE WHEN kpi = 'gpm' THEN denominator ELSE NULL END) AS gpm_denominator,
    SUM(CASE WHEN kpi = 'collected' THEN numerator ELSE NULL END) AS collected,
    SUM(CASE WHEN kpi = 'estimates' THEN numerator ELSE NULL END) AS estimates,
    SUM(CASE WHEN kpi = 'success_rate' THEN numerator ELSE NULL END) AS success_rate_numerator,
    SUM(CASE WHEN kpi = 'success_rate' THEN denominator ELSE NULL END) AS success_rate_denominator,
    SUM(CASE WHEN kpi = 'future_bookings' THEN numerator ELSE NULL END) AS future_bookings,
    SUM(CASE WHEN kpi = 'warranty_pct' THEN numerator ELSE NULL END) AS warranty_pct_numerator,
    SUM(CASE WHEN kpi = 'warranty_pct' THEN denominator ELSE NULL END) AS warranty_pct_denominator,
    SUM(CASE WHEN kpi = 'outstanding_ar' THEN numerator ELSE NULL END) AS outstanding_ar,
    SUM(CASE WHEN kpi = 'estimates_scheduled' THEN numerator ELSE NULL END) AS estimates_scheduled,
    SUM(CASE WHEN kpi = 'closed_average_sale' THEN numerator ELSE NULL END) AS closed_average_sale_numerator,
    SUM(CASE WHEN kpi = 'closed_average_sale' THEN denominator ELSE NULL END) AS closed_average_sale_denominator
  FROM st_kpi.kpi_weekly
  GROUP BY
    tenant_id,
    "rollup",
    week_start
)
SELECT
  rollups.tenant_id,
  weeks.week_start,
  rollups."rollup",
  COALESCE(
    spread.leads,
    CASE WHEN weeks.is_known THEN CAST(0 AS DECIMAL(38, 9)) ELSE NULL END
  ) AS leads,
  COALESCE(
    spread.total_booked,
    CASE WHEN weeks.is_known THEN CAST(0 AS DECIMAL(38, 9)) ELSE NULL END
  ) AS total_booked,
  COALESCE(
    spread.produced,
    CASE WHEN weeks.is_known THEN CAST(0 AS DECIMAL(38, 9)) ELSE NULL END
  ) AS produced,
  (
    CASE
      WHEN CAST(spread.gpm_denominator AS DECIMAL(38, 9)) = 0
      THEN NULL
      ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(spread.gpm_numerator AS DECIMAL(38, 9))) * SIGN(CAST(spread.gpm_denominator AS DECIMAL(38, 9))) * (
        (
          CAST(ABS(CAST(spread.gpm_numerator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(spread.gpm_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        ) // (
          CAST(2 AS INT128) * CAST(ABS(CAST(spread.gpm_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        )
      ) AS DECIMAL(29, 0))
    END
  ) AS gpm,
  COALESCE(
    spread.collected,
    CASE WHEN weeks.is_known THEN CAST(0 AS DECIMAL(38, 9)) ELSE NULL END
  ) AS collected,
  COALESCE(
    spread.estimates,
    CASE WHEN weeks.is_known THEN CAST(0 AS DECIMAL(38, 9)) ELSE NULL END
  ) AS estimates,
  (
    CASE
      WHEN CAST(spread.success_rate_denominator AS DECIMAL(38, 9)) = 0
      THEN NULL
      ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(spread.success_rate_numerator AS DECIMAL(38, 9))) * SIGN(CAST(spread.success_rate_denominator AS DECIMAL(38, 9))) * (
        (
          CAST(ABS(CAST(spread.success_rate_numerator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(spread.success_rate_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        ) // (
          CAST(2 AS INT128) * CAST(ABS(CAST(spread.success_rate_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        )
      ) AS DECIMAL(29, 0))
    END
  ) AS success_rate,
  CASE
    WHEN measured_weeks.has_future_bookings
    THEN COALESCE(spread.future_bookings, CAST(0 AS DECIMAL(38, 9)))
    ELSE NULL
  END AS future_bookings,
  (
    CASE
      WHEN CAST(spread.warranty_pct_denominator AS DECIMAL(38, 9)) = 0
      THEN NULL
      ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(spread.warranty_pct_numerator AS DECIMAL(38, 9))) * SIGN(CAST(spread.warranty_pct_denominator AS DECIMAL(38, 9))) * (
        (
          CAST(ABS(CAST(spread.warranty_pct_numerator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(spread.warranty_pct_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        ) // (
          CAST(2 AS INT128) * CAST(ABS(CAST(spread.warranty_pct_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        )
      ) AS DECIMAL(29, 0))
    END
  ) AS warranty_pct,
  CASE
    WHEN measured_weeks.has_outstanding_ar
    THEN COALESCE(spread.outstanding_ar, CAST(0 AS DECIMAL(38, 9)))
    ELSE NULL
  END AS outstanding_ar,
  COALESCE(
    spread.estimates_scheduled,
    CASE WHEN weeks.is_known THEN CAST(0 AS DECIMAL(38, 9)) ELSE NULL END
  ) AS estimates_scheduled,
  (
    CASE
      WHEN CAST(spread.closed_average_sale_denominator AS DECIMAL(38, 9)) = 0
      THEN NULL
      ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(spread.closed_average_sale_numerator AS DECIMAL(38, 9))) * SIGN(CAST(spread.closed_average_sale_denominator AS DECIMAL(38, 9))) * (
        (
          CAST(ABS(CAST(spread.closed_average_sale_numerator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(spread.closed_average_sale_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        ) // (
          CAST(2 AS INT128) * CAST(ABS(CAST(spread.closed_average_sale_denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
        )
      ) AS DECIMAL(29, 0))
    END
  ) AS closed_average_sale,
  COALESCE(spread.gpm_numerator, CAST(0 AS DECIMAL(38, 9))) AS gpm_numerator,
  COALESCE(spread.gpm_denominator, CAST(0 AS DECIMAL(38, 9))) AS gpm_denominator,
  COALESCE(spread.success_rate_numerator, CAST(0 AS DECIMAL(38, 9))) AS success_rate_numerator,
  COALESCE(spread.success_rate_denominator, CAST(0 AS DECIMAL(38, 9))) AS success_rate_denominator,
  COALESCE(spread.warranty_pct_numerator, CAST(0 AS DECIMAL(38, 9))) AS warranty_pct_numerator,
  COALESCE(spread.warranty_pct_denominator, CAST(0 AS DECIMAL(38, 9))) AS warranty_pct_denominator,
  COALESCE(spread.closed_average_sale_numerator, CAST(0 AS DECIMAL(38, 9))) AS closed_average_sale_numerator,
  COALESCE(spread.closed_average_sale_denominator, CAST(0 AS DECIMAL(38, 9))) AS closed_average_sale_denominator,
  $as_of AS as_of,
  CAST($input_watermark AS TIMESTAMPTZ) AS input_watermark
FROM rollups
JOIN weeks
  ON weeks.tenant_id = rollups.tenant_id
LEFT JOIN measured_weeks
  ON measured_weeks.tenant_id = rollups.tenant_id
  AND measured_weeks.week_start = weeks.week_start
LEFT JOIN spread
  ON spread.tenant_id = rollups.tenant_id
  AND spread."rollup" = rollups."rollup"
  AND spread.week_start = weeks.week_start
