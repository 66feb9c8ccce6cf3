/* On which days each snapshot KPI was measured, so that a measured nothing differs from a day without a build. */
/* table: st_kpi.snapshot_days */
/* replaces: day = @as_of */
WITH tenants AS (
  SELECT
    tenant_id
  FROM st_dim.dim_jobs
  GROUP BY
    tenant_id
)
SELECT
  tenants.tenant_id,
  kpi.kpi,
  $as_of AS day,
  CAST($input_watermark AS TIMESTAMPTZ) AS input_watermark,
  kpi.version AS definition_version
FROM tenants
CROSS JOIN st_ref.dim_kpis AS kpi /* cross join: a row per tenant and snapshot KPI, a handful */
WHERE
  kpi.kind = 'snapshot'
