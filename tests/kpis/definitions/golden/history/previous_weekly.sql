/* The weekly values of the build before, by part. */
/* history: st_staging.previous_weekly replace */
SELECT
  tenant_id,
  kpi,
  "rollup",
  role,
  week_start,
  part,
  amount
FROM st_staging.weekly_parts
