/* Invoices that $ Produced leaves out, one row each, with the rule that does. */
/* inline: st_staging.left_out_invoices */
WITH everything AS (
  SELECT
    invoice.tenant_id,
    invoice.id AS invoice_id,
    COALESCE(staged.job_id, NULLIF(invoice.job_id, 0)) AS job_id,
    NULLIF(invoice.project_id, 0) AS project_id,
    NULLIF(invoice.business_unit_id, 0) AS business_unit_id,
    COALESCE(invoice.invoice_date, invoice.created_on) AS dated_at,
    invoice.sub_total,
    COALESCE(invoice.active, TRUE) AS is_active
  FROM st_raw.invoices AS invoice
  LEFT JOIN st_staging.invoices AS staged
    ON staged.tenant_id = invoice.tenant_id AND staged.invoice_id = invoice.id
)
SELECT
  invoice.tenant_id,
  invoice.invoice_id,
  invoice.job_id,
  COALESCE(
    produced.business_unit_id,
    job.business_unit_id,
    invoice.business_unit_id,
    project.business_unit_id
  ) AS business_unit_id,
  COALESCE(
    produced.on_date,
    job.on_date,
    project.on_date,
    CASE
      WHEN invoice.dated_at < CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
      THEN NULL
      WHEN invoice.dated_at = DATE_TRUNC('DAY', invoice.dated_at)
      THEN CAST(invoice.dated_at AS DATE)
      ELSE CAST(invoice.dated_at AT TIME ZONE $timezone AS DATE)
    END
  ) AS on_date,
  invoice.sub_total AS amount,
  CASE
    WHEN NOT invoice.is_active
    THEN 'inactive'
    WHEN invoice.job_id IS NULL AND NOT invoice.project_id IS NULL
    THEN 'without a job, for a project'
    WHEN invoice.job_id IS NULL
    THEN 'without a job'
    WHEN job.job_id IS NULL
    THEN 'without a known job'
    ELSE job.rule
  END AS rule
FROM everything AS invoice
LEFT JOIN st_staging.produced_jobs AS produced
  ON produced.tenant_id = invoice.tenant_id AND produced.job_id = invoice.job_id
LEFT JOIN st_staging.unproduced_jobs AS job
  ON job.tenant_id = invoice.tenant_id AND job.job_id = invoice.job_id
LEFT JOIN st_staging.project_jobs AS project
  ON project.tenant_id = invoice.tenant_id
  AND project.project_id = invoice.project_id
  AND invoice.job_id IS NULL
WHERE
  invoice.sub_total <> 0 AND (
    NOT invoice.is_active OR produced.job_id IS NULL
  )
