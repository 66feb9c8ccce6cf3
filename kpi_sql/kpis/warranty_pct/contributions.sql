-- Cost of the $ Produced jobs of the warranty family over the revenue of all of them.
-- table: st_kpi.contributions
-- incremental_by: job_id
SELECT
  job.tenant_id,
  'numerator' AS part,
  job.on_date,
  job.business_unit_id,
  'jobs' AS source_entity,
  job.job_id AS source_id,
  job.job_id,
  cost.amount,
  CONCAT('warranty cost: ', cost.part, ', ', job.work_on_basis) AS reason,
  cost.part AS component
FROM st_staging.produced_jobs AS job
JOIN st_staging.job_costs AS cost
  ON cost.tenant_id = job.tenant_id AND cost.job_id = job.job_id
WHERE job.family = 'warranty'
UNION ALL
SELECT
  job.tenant_id,
  'denominator' AS part,
  job.on_date,
  job.business_unit_id,
  'invoices' AS source_entity,
  invoice.invoice_id AS source_id,
  job.job_id,
  invoice.sub_total AS amount,
  CONCAT('revenue, ', job.work_on_basis) AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.produced_jobs AS job
JOIN st_staging.invoices AS invoice
  ON invoice.tenant_id = job.tenant_id AND invoice.job_id = job.job_id
