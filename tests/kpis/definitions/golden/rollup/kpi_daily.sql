/* Every KPI per day and rollup: contributions summed, ratios divided last. */
/* table: st_kpi.kpi_daily */
WITH counted AS (
  SELECT
    contribution.tenant_id,
    contribution.kpi,
    kpi.kind,
    kpi.version,
    contribution.on_date,
    COALESCE(unit."rollup", '(unassigned)') AS "rollup", /* A row may lack a unit, or have one that the mapping no longer holds on an older snapshot day. */
    unit.role,
    contribution.part,
    contribution.amount
  FROM st_kpi.contributions AS contribution
  JOIN st_ref.dim_kpis AS kpi /* no tenant: a KPI means the same for everyone */
    ON kpi.kpi = contribution.kpi
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = contribution.tenant_id
    AND unit.business_unit_id = contribution.business_unit_id
    AND contribution.on_date BETWEEN unit.valid_from AND unit.valid_to
  WHERE
    NOT contribution.on_date IS NULL
    AND /* On an older snapshot day a unit may have counted that does not any more. */ COALESCE(unit.role, '') <> 'NONE'
), summed AS (
  SELECT
    tenant_id,
    kpi,
    kind,
    version,
    "rollup",
    role,
    on_date,
    SUM(CASE WHEN part = 'denominator' THEN CAST(0 AS DECIMAL(38, 9)) ELSE amount END) AS numerator,
    CASE
      WHEN kind = 'ratio'
      THEN SUM(CASE WHEN part = 'denominator' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END)
      ELSE NULL
    END AS denominator
  FROM counted
  GROUP BY
    tenant_id,
    kpi,
    kind,
    version,
    "rollup",
    role,
    on_date
)
SELECT
  summed.tenant_id,
  summed.kpi,
  summed."rollup",
  summed.role,
  summed.on_date AS day,
  summed.numerator,
  summed.denominator,
  CASE
    WHEN summed.kind = 'ratio'
    THEN (
      CASE
        WHEN CAST(summed.denominator AS DECIMAL(38, 9)) = 0
        THEN NULL
        ELSE CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(SIGN(CAST(summed.numerator AS DECIMAL(38, 9))) * SIGN(CAST(summed.denominator AS DECIMAL(38, 9))) * (
          (
            CAST(ABS(CAST(summed.numerator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128) * CAST(2000000000 AS INT128) + CAST(ABS(CAST(summed.denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          ) // (
            CAST(2 AS INT128) * CAST(ABS(CAST(summed.denominator AS DECIMAL(38, 9))) * CAST(1e9 AS DECIMAL(38, 0)) AS INT128)
          )
        ) AS DECIMAL(29, 0))
      END
    )
    ELSE summed.numerator
  END AS value,
  CASE WHEN summed.kind = 'snapshot' THEN summed.on_date ELSE $as_of END AS as_of,
  CASE
    WHEN summed.kind = 'snapshot'
    THEN measured.input_watermark
    ELSE CAST($input_watermark AS TIMESTAMPTZ)
  END AS input_watermark,
  CASE
    WHEN summed.kind = 'snapshot'
    THEN measured.definition_version
    ELSE summed.version
  END AS definition_version
FROM summed
LEFT JOIN st_kpi.snapshot_days AS measured
  ON measured.tenant_id = summed.tenant_id
  AND measured.kpi = summed.kpi
  AND measured.day = summed.on_date
