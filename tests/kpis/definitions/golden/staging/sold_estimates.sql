/* Sold estimates that count, one row each: of a job, with the job's business unit, or of a project, with their own. */
/* table: st_staging.sold_estimates */
SELECT
  estimate.tenant_id,
  estimate.id AS estimate_id,
  NULLIF(estimate.job_id, 0) AS job_id,
  CASE
    WHEN job.job_id IS NULL
    THEN NULLIF(estimate.business_unit_id, 0)
    ELSE job.business_unit_id
  END AS business_unit_id,
  COALESCE(estimate.subtotal, CAST(0 AS DECIMAL(38, 9))) AS subtotal,
  CAST(CASE
    WHEN estimate.sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
    THEN estimate.sold_on
    ELSE NULL
  END AT TIME ZONE $timezone AS DATE) AS sold_on_local
FROM st_raw.estimates AS estimate
LEFT JOIN st_staging.jobs AS job
  ON job.tenant_id = estimate.tenant_id AND job.job_id = estimate.job_id
LEFT JOIN st_staging.job_type_mapping AS type
  ON type.tenant_id = job.tenant_id AND type.job_type_id = job.job_type_id
WHERE
  COALESCE(estimate.active, TRUE)
  AND COALESCE(type.family, '') <> 'none'
  AND /* An open estimate may still carry the time of a sale that was undone. */ estimate.status_name = 'Sold'
  AND /* An empty time is written as the year 1. */ estimate.sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
  AND (
    NOT job.job_id IS NULL
    OR (
      $project_money = 'counted'
      AND NULLIF(estimate.job_id, 0) IS NULL
      AND NOT NULLIF(estimate.project_id, 0) IS NULL
    )
  )
