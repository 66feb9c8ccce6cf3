-- Which KPIs are without one of their inputs, because the entity was never read: forbidden to the app, or not loaded yet.
-- table: st_kpi.missing_inputs
WITH tenants AS (
  SELECT tenant_id
  FROM st_dim.dim_jobs
  GROUP BY tenant_id
)

SELECT tenants.tenant_id, used.kpi, used.entity
FROM tenants
CROSS JOIN st_kpi.kpi_inputs AS used -- cross join: some forty rows for each company
WHERE used.entity NOT IN UNNEST(@entities_read)
