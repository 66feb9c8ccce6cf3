/* Which KPIs are without one of their inputs, because the entity was never read: forbidden to the app, or not loaded yet. */
/* table: st_kpi.missing_inputs */
WITH tenants AS (
  SELECT
    tenant_id
  FROM st_dim.dim_jobs
  GROUP BY
    tenant_id
)
SELECT
  tenants.tenant_id,
  used.kpi,
  used.entity
FROM tenants
CROSS JOIN st_kpi.kpi_inputs AS used /* cross join: some forty rows for each company */
WHERE
  NOT CASE
    WHEN $entities_read IS NULL OR ARRAY_LENGTH($entities_read) = 0
    THEN FALSE
    WHEN ARRAY_CONTAINS($entities_read, used.entity)
    THEN TRUE
    WHEN used.entity IS NULL OR ARRAY_LENGTH($entities_read) <> LIST_COUNT($entities_read)
    THEN NULL
    ELSE FALSE
  END
