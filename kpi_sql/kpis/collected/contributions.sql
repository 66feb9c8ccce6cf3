-- Payment lines by the PRODUCTION unit of the invoice they pay; what belongs to no unit stands beside, unassigned.
-- table: st_kpi.contributions
SELECT
  line.tenant_id,
  'value' AS part,
  line.paid_on_local AS on_date,
  line.business_unit_id,
  'payment_applications' AS source_entity,
  line.application_id AS source_id,
  line.job_id,
  line.applied_amount AS amount,
  CONCAT(
    'line ', CAST(line.line AS STRING), ' of payment ', CAST(line.payment_id AS STRING),
    ', applied to invoice ', CAST(line.invoice_id AS STRING)
  ) AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.payment_lines AS line
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = line.tenant_id
  AND unit.business_unit_id = line.business_unit_id
  AND line.paid_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE unit.role IN ('PRODUCTION', 'BOTH')
  AND line.counts
UNION ALL
SELECT
  tenant_id,
  'value' AS part,
  paid_on_local AS on_date,
  CAST(NULL AS INT64) AS business_unit_id,
  'payment_applications' AS source_entity,
  application_id AS source_id,
  job_id,
  applied_amount AS amount,
  CONCAT(
    'line ', CAST(line AS STRING), ' of payment ', CAST(payment_id AS STRING),
    IF(has_invoice, ', its invoice has no business unit', ', its invoice is unknown')
  ) AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.payment_lines
WHERE business_unit_id IS NULL
  AND counts
UNION ALL
SELECT
  payment.tenant_id,
  'value' AS part,
  payment.paid_on_local AS on_date,
  CAST(NULL AS INT64) AS business_unit_id,
  'payments' AS source_entity,
  payment.payment_id AS source_id,
  CAST(NULL AS INT64) AS job_id,
  payment.unapplied_amount AS amount,
  'not applied to any invoice' AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.payments AS payment
LEFT JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = payment.tenant_id
  AND unit.business_unit_id = payment.business_unit_id
  AND payment.paid_on_local BETWEEN unit.valid_from AND unit.valid_to
WHERE payment.unapplied_amount <> 0
  AND COALESCE(unit.role, '') <> 'NONE'
