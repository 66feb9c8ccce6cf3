/* Invoices before tax of jobs in PRODUCTION units, adjustments included, on the day the job's work starts. */
/* table: st_kpi.contributions */
/* incremental_by: job_id */
SELECT
  job.tenant_id,
  'value' AS part,
  job.on_date,
  job.business_unit_id,
  'invoices' AS source_entity,
  invoice.invoice_id AS source_id,
  job.job_id,
  invoice.sub_total AS amount,
  CASE WHEN invoice.is_adjustment THEN 'adjustment invoice, ' ELSE 'invoice, ' END || job.work_on_basis AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_staging.produced_jobs AS job
JOIN st_staging.invoices AS invoice
  ON invoice.tenant_id = job.tenant_id AND invoice.job_id = job.job_id
