-- Invoices before tax of the $ Produced jobs that are completed by now.
-- alternative: sum
SELECT
  produced.tenant_id,
  'value' AS part,
  produced.on_date,
  produced.business_unit_id,
  'invoices' AS source_entity,
  invoice.invoice_id AS source_id,
  produced.job_id,
  invoice.sub_total AS amount,
  CONCAT('completed job, ', produced.work_on_basis) AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.produced_jobs AS produced
JOIN st_dim.dim_jobs AS job
  ON job.tenant_id = produced.tenant_id AND job.job_id = produced.job_id
JOIN st_staging.invoices AS invoice
  ON invoice.tenant_id = produced.tenant_id AND invoice.job_id = produced.job_id
WHERE job.job_status = 'Completed'
