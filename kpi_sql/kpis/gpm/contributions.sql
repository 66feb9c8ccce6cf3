-- Revenue less cost of the $ Produced jobs over their revenue; jobs with cost alone stay in.
-- table: st_kpi.contributions
-- incremental_by: job_id
WITH revenue AS (
  SELECT
    job.tenant_id,
    job.on_date,
    job.business_unit_id,
    job.job_id,
    invoice.invoice_id,
    invoice.sub_total AS amount,
    CONCAT('revenue, ', job.work_on_basis) AS reason
  FROM st_staging.produced_jobs AS job
  JOIN st_staging.invoices AS invoice
    ON invoice.tenant_id = job.tenant_id AND invoice.job_id = job.job_id
)

SELECT
  tenant_id,
  'denominator' AS part,
  on_date,
  business_unit_id,
  'invoices' AS source_entity,
  invoice_id AS source_id,
  job_id,
  amount,
  reason,
  CAST(NULL AS STRING) AS component
FROM revenue
UNION ALL
SELECT
  tenant_id,
  'numerator' AS part,
  on_date,
  business_unit_id,
  'invoices' AS source_entity,
  invoice_id AS source_id,
  job_id,
  amount,
  reason,
  CAST(NULL AS STRING) AS component
FROM revenue
UNION ALL
SELECT
  job.tenant_id,
  'numerator' AS part,
  job.on_date,
  job.business_unit_id,
  'jobs' AS source_entity,
  job.job_id AS source_id,
  job.job_id,
  -cost.amount AS amount,
  CONCAT('cost: ', cost.part, ', ', job.work_on_basis) AS reason,
  cost.part AS component
FROM st_staging.produced_jobs AS job
JOIN st_staging.job_costs AS cost
  ON cost.tenant_id = job.tenant_id AND cost.job_id = job.job_id
