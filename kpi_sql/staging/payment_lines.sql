-- The lines of payments that count, equal ones all kept. The invoice is only looked up: money paid on one that was
-- deleted since was still received. A line counts unless its job is of a type that
-- does not.
-- inline: st_staging.payment_lines
SELECT
  line.tenant_id,
  line.payment_id,
  line.line,
  line.id AS application_id,
  payment.paid_on_local,
  line.applied_to AS invoice_id,
  invoice.id IS NOT NULL AS has_invoice,
  NULLIF(invoice.job_id, 0) AS job_id,
  NULLIF(invoice.business_unit_id, 0) AS business_unit_id,
  NULLIF(invoice.location_id, 0) AS location_id,
  COALESCE(type.family, '') <> 'none' AS counts,
  COALESCE(line.applied_amount, CAST(0 AS NUMERIC)) AS applied_amount
FROM st_raw.payment_applications AS line
JOIN st_staging.payments AS payment
  ON payment.tenant_id = line.tenant_id AND payment.payment_id = line.payment_id
LEFT JOIN st_raw.invoices AS invoice
  ON invoice.tenant_id = line.tenant_id AND invoice.id = line.applied_to
LEFT JOIN st_raw.jobs AS job
  ON job.tenant_id = invoice.tenant_id AND job.id = invoice.job_id
LEFT JOIN st_staging.job_type_mapping AS type
  ON type.tenant_id = job.tenant_id AND type.job_type_id = job.job_type_id
WHERE COALESCE(line.active, TRUE)
