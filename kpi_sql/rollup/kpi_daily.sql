-- Every KPI per day and rollup: contributions summed, ratios divided last.
-- table: st_kpi.kpi_daily
WITH counted AS (
  SELECT
    contribution.tenant_id,
    contribution.kpi,
    kpi.kind,
    kpi.version,
    contribution.on_date,
    -- A row may lack a unit, or have one that the mapping no longer holds on an older snapshot day.
    COALESCE(unit.`rollup`, '(unassigned)') AS `rollup`,
    unit.role,
    contribution.part,
    contribution.amount
  FROM st_kpi.contributions AS contribution
  JOIN st_ref.dim_kpis AS kpi -- no tenant: a KPI means the same for everyone
    ON kpi.kpi = contribution.kpi
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = contribution.tenant_id
    AND unit.business_unit_id = contribution.business_unit_id
    AND contribution.on_date BETWEEN unit.valid_from AND unit.valid_to
  WHERE contribution.on_date IS NOT NULL
    -- On an older snapshot day a unit may have counted that does not any more.
    AND COALESCE(unit.role, '') <> 'NONE'
),

summed AS (
  SELECT
    tenant_id,
    kpi,
    kind,
    version,
    `rollup`,
    role,
    on_date,
    SUM(IF(part = 'denominator', CAST(0 AS NUMERIC), amount)) AS numerator,
    IF(kind = 'ratio', SUM(IF(part = 'denominator', amount, CAST(0 AS NUMERIC))), NULL) AS denominator
  FROM counted
  GROUP BY tenant_id, kpi, kind, version, `rollup`, role, on_date
)

SELECT
  summed.tenant_id,
  summed.kpi,
  summed.`rollup`,
  summed.role,
  summed.on_date AS day,
  summed.numerator,
  summed.denominator,
  IF(summed.kind = 'ratio', SAFE_DIVIDE(summed.numerator, summed.denominator), summed.numerator) AS value,
  IF(summed.kind = 'snapshot', summed.on_date, @as_of) AS as_of,
  IF(summed.kind = 'snapshot', measured.input_watermark, CAST(@input_watermark AS TIMESTAMP)) AS input_watermark,
  IF(summed.kind = 'snapshot', measured.definition_version, summed.version) AS definition_version
FROM summed
LEFT JOIN st_kpi.snapshot_days AS measured
  ON measured.tenant_id = summed.tenant_id
  AND measured.kpi = summed.kpi
  AND measured.day = summed.on_date
