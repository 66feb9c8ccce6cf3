-- Sold estimates that belong to a job that counts, one row each, with the job's business unit.
-- table: st_staging.sold_estimates
-- incremental_by: job_id
SELECT
  estimate.tenant_id,
  estimate.id AS estimate_id,
  job.job_id,
  job.business_unit_id,
  COALESCE(estimate.subtotal, CAST(0 AS NUMERIC)) AS subtotal,
  DATE(IF(estimate.sold_on >= TIMESTAMP '1900-01-01 00:00:00+00', estimate.sold_on, NULL), @timezone) AS sold_on_local
FROM st_raw.estimates AS estimate
JOIN st_staging.jobs AS job
  ON job.tenant_id = estimate.tenant_id AND job.job_id = estimate.job_id
WHERE COALESCE(estimate.active, TRUE)
  -- An open estimate may still carry the time of a sale that was undone.
  AND estimate.status_name = 'Sold'
  -- An empty time is written as the year 1.
  AND estimate.sold_on >= TIMESTAMP '1900-01-01 00:00:00+00'
