/* Sold estimates that belong to a job that counts, one row each, with the job's business unit. */
/* table: st_staging.sold_estimates */
/* incremental_by: job_id */
SELECT
  estimate.tenant_id,
  estimate.id AS estimate_id,
  job.job_id,
  job.business_unit_id,
  COALESCE(estimate.subtotal, CAST(0 AS DECIMAL(38, 9))) AS subtotal,
  CAST(CASE
    WHEN estimate.sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
    THEN estimate.sold_on
    ELSE NULL
  END AT TIME ZONE $timezone AS DATE) AS sold_on_local
FROM st_raw.estimates AS estimate
JOIN st_staging.jobs AS job
  ON job.tenant_id = estimate.tenant_id AND job.job_id = estimate.job_id
WHERE
  COALESCE(estimate.active, TRUE)
  AND /* An open estimate may still carry the time of a sale that was undone. */ estimate.status_name = 'Sold'
  AND /* An empty time is written as the year 1. */ estimate.sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
