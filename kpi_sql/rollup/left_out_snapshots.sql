-- Money that the snapshots of the last measured day leave out, one row for each record, with the rule that does.
-- table: st_kpi.left_out_snapshots
-- replaces: on_date <= @as_of
SELECT
  tenant_id,
  'outstanding_ar' AS kpi,
  'value' AS part,
  @as_of AS on_date,
  business_unit_id,
  source_entity,
  source_id,
  job_id,
  amount,
  rule,
  CAST(NULL AS STRING) AS component
FROM st_staging.receivables
WHERE rule IS NOT NULL
UNION ALL
SELECT
  tenant_id,
  'future_bookings' AS kpi,
  'value' AS part,
  @as_of AS on_date,
  business_unit_id,
  'invoices' AS source_entity,
  invoice_id AS source_id,
  job_id,
  amount,
  rule,
  CAST(NULL AS STRING) AS component
FROM st_staging.left_out_bookings
