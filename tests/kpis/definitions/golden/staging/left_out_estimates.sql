/* Sold estimates that Total Booked or the Closed Average Sale leaves out, one row each, with the rule that does. */
/* inline: st_staging.left_out_estimates */
WITH closed AS (
  SELECT
    tenant_id,
    job_id
  FROM st_staging.opportunities
  WHERE
    is_closed AND NOT is_no_charge
), judged AS (
  SELECT
    estimate.tenant_id,
    estimate.id AS estimate_id,
    NULLIF(estimate.job_id, 0) AS job_id,
    CASE
      WHEN job.job_id IS NULL
      THEN NULLIF(estimate.business_unit_id, 0)
      ELSE job.business_unit_id
    END AS business_unit_id,
    COALESCE(
      sold.sold_on_local,
      CAST(CASE
        WHEN estimate.sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
        THEN estimate.sold_on
        ELSE NULL
      END AT TIME ZONE $timezone AS DATE),
      CAST(CASE
        WHEN estimate.created_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
        THEN estimate.created_on
        ELSE NULL
      END AT TIME ZONE $timezone AS DATE)
    ) AS on_date,
    estimate.subtotal AS amount,
    CASE
      WHEN NOT COALESCE(estimate.active, TRUE)
      THEN 'inactive'
      WHEN job.family = 'none'
      THEN 'its job is of a type that does not count'
      WHEN NOT COALESCE(estimate.sold_on >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ), FALSE)
      THEN 'without a day'
      WHEN NOT sold.estimate_id IS NULL
      THEN NULL
      WHEN NULLIF(estimate.job_id, 0) IS NULL
      THEN CASE
        WHEN NULLIF(estimate.project_id, 0) IS NULL
        THEN 'without a job'
        ELSE 'without a job, for a project'
      END
      WHEN any_job.id IS NULL
      THEN 'without a known job'
      WHEN job.job_id IS NULL
      THEN 'its job is inactive'
    END AS staged_rule,
    NOT sold.estimate_id IS NULL AND NOT closed.job_id IS NULL AS is_of_closed,
    COALESCE(job.is_no_charge, FALSE) AS is_no_charge,
    sold.sold_on_local
  FROM st_raw.estimates AS estimate
  LEFT JOIN st_staging.sold_estimates AS sold
    ON sold.tenant_id = estimate.tenant_id AND sold.estimate_id = estimate.id
  LEFT JOIN st_raw.jobs AS any_job
    ON any_job.tenant_id = estimate.tenant_id AND any_job.id = estimate.job_id
  LEFT JOIN st_dim.dim_jobs AS job
    ON job.tenant_id = estimate.tenant_id AND job.job_id = estimate.job_id
  LEFT JOIN closed
    ON closed.tenant_id = estimate.tenant_id AND closed.job_id = estimate.job_id
  WHERE
    estimate.status_name = 'Sold' AND estimate.subtotal <> 0
), ruled AS (
  SELECT
    judged.tenant_id,
    judged.estimate_id,
    judged.job_id,
    judged.business_unit_id,
    judged.on_date,
    judged.amount,
    judged.is_of_closed,
    judged.is_no_charge,
    CASE
      WHEN NOT judged.staged_rule IS NULL
      THEN judged.staged_rule
      WHEN judged.business_unit_id IS NULL
      THEN 'without a business unit'
      WHEN unit.role IS NULL
      THEN 'without a mapping of its unit'
      WHEN unit.role = 'NONE'
      THEN 'of a unit that does not count'
      WHEN unit.role = 'PRODUCTION'
      THEN 'of a PRODUCTION unit'
    END AS rule
  FROM judged
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = judged.tenant_id
    AND unit.business_unit_id = judged.business_unit_id
    AND judged.on_date BETWEEN unit.valid_from AND unit.valid_to
)
SELECT
  tenant_id,
  'total_booked' AS kpi,
  estimate_id,
  job_id,
  business_unit_id,
  on_date,
  amount,
  rule
FROM ruled
WHERE
  NOT rule IS NULL
UNION ALL
SELECT
  tenant_id,
  'closed_average_sale' AS kpi,
  estimate_id,
  job_id,
  business_unit_id,
  on_date,
  amount,
  CASE
    WHEN NOT rule IS NULL
    THEN rule
    WHEN job_id IS NULL
    THEN 'without a job, for a project'
    WHEN is_no_charge
    THEN 'its job is without charge'
    ELSE 'its job is no closed opportunity'
  END AS rule
FROM ruled
WHERE
  NOT is_of_closed
