/* Invoices that count, one row each; those of a deleted job go with it. */
/* table: st_staging.invoices */
SELECT
  invoice.tenant_id,
  invoice.id AS invoice_id,
  COALESCE(NULLIF(invoice.job_id, 0), project.job_id) AS job_id,
  NULLIF(invoice.business_unit_id, 0) AS business_unit_id,
  NULLIF(invoice.customer_id, 0) AS customer_id,
  NULLIF(invoice.location_id, 0) AS location_id,
  NOT invoice.adjustment_to_id IS NULL AS is_adjustment,
  COALESCE(invoice.sub_total, CAST(0 AS DECIMAL(38, 9))) AS sub_total,
  COALESCE(invoice.balance, CAST(0 AS DECIMAL(38, 9))) AS balance
FROM st_raw.invoices AS invoice
LEFT JOIN st_raw.jobs AS job
  ON job.tenant_id = invoice.tenant_id AND job.id = invoice.job_id
LEFT JOIN st_staging.project_jobs AS project
  ON project.tenant_id = invoice.tenant_id
  AND project.project_id = invoice.project_id
  AND project.takes_money
WHERE
  COALESCE(invoice.active, TRUE) AND COALESCE(job.active, TRUE)
