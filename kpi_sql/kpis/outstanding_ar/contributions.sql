-- What PRODUCTION customers owe per location: open invoices less unapplied payments and credits, from a minimum on.
-- table: st_kpi.contributions
SELECT
  tenant_id,
  'value' AS part,
  @as_of AS on_date,
  business_unit_id,
  source_entity,
  source_id,
  job_id,
  amount,
  CONCAT(reason, ', location ', CAST(location_id AS STRING)) AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.receivables
WHERE rule IS NULL
