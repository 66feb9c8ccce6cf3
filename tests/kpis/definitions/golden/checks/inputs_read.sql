/* Every KPI has all its inputs: one whose cost was never read shows too high a margin. */
/* check: warn */
SELECT
  tenant_id,
  kpi,
  entity
FROM st_kpi.missing_inputs
ORDER BY
  tenant_id NULLS FIRST,
  entity NULLS FIRST,
  kpi NULLS FIRST
