-- What the causes leave over of the change of the published values, so that they add up to it exactly.
-- history: st_kpi.kpi_changes append
WITH changes AS (
  SELECT tenant_id, kpi, `rollup`, role, week_start, part, amount
  FROM st_staging.weekly_parts
  UNION ALL
  SELECT tenant_id, kpi, `rollup`, role, week_start, part, -amount AS amount
  FROM st_staging.previous_weekly
  UNION ALL
  SELECT tenant_id, kpi, `rollup`, role, week_start, part, -amount AS amount
  FROM st_kpi.kpi_changes
  WHERE build = @build
)

SELECT
  @build AS build,
  tenant_id,
  kpi,
  `rollup`,
  role,
  week_start,
  part,
  CASE
    WHEN kpi IN UNNEST(@redefined) THEN 'definition changed'
    -- Of a snapshot that moved on to another day, it is a unit whose rollup ends between the two days.
    WHEN kpi IN UNNEST(@moved_on) THEN 'remapped'
    ELSE 'not explained'
  END AS cause,
  SUM(amount) AS amount,
  0 AS source_rows
FROM changes
GROUP BY tenant_id, kpi, `rollup`, role, week_start, part
HAVING SUM(changes.amount) <> 0
