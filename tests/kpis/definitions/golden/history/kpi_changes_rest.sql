/* What the causes leave over of the change of the published values, so that they add up to it exactly. */
/* history: st_kpi.kpi_changes append */
WITH changes AS (
  SELECT
    tenant_id,
    kpi,
    "rollup",
    role,
    week_start,
    part,
    amount
  FROM st_staging.weekly_parts
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    "rollup",
    role,
    week_start,
    part,
    -amount AS amount
  FROM st_staging.previous_weekly
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    "rollup",
    role,
    week_start,
    part,
    -amount AS amount
  FROM st_kpi.kpi_changes
  WHERE
    build = $build
)
SELECT
  $build AS build,
  tenant_id,
  kpi,
  "rollup",
  role,
  week_start,
  part,
  CASE
    WHEN CASE
      WHEN $redefined IS NULL OR ARRAY_LENGTH($redefined) = 0
      THEN FALSE
      WHEN ARRAY_CONTAINS($redefined, kpi)
      THEN TRUE
      WHEN kpi IS NULL OR ARRAY_LENGTH($redefined) <> LIST_COUNT($redefined)
      THEN NULL
      ELSE FALSE
    END
    THEN 'definition changed'
    WHEN CASE
      WHEN $moved_on IS NULL OR ARRAY_LENGTH($moved_on) = 0
      THEN FALSE
      WHEN ARRAY_CONTAINS($moved_on, kpi)
      THEN TRUE
      WHEN kpi IS NULL OR ARRAY_LENGTH($moved_on) <> LIST_COUNT($moved_on)
      THEN NULL
      ELSE FALSE
    END
    THEN 'remapped'
    ELSE 'not explained'
  END AS cause,
  SUM(amount) AS amount,
  0 AS source_rows
FROM changes
GROUP BY
  tenant_id,
  kpi,
  "rollup",
  role,
  week_start,
  part
HAVING
  SUM(changes.amount) <> 0
