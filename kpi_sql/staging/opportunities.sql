-- Sales opportunities of SALES units, one row per job, dated once: closed or still open, free of charge or not.
-- inline: st_staging.opportunities
WITH sold AS (
  SELECT tenant_id, job_id, SUM(subtotal) AS sold_subtotal, MIN(sold_on_local) AS first_sold_on_local
  FROM st_staging.sold_estimates
  GROUP BY tenant_id, job_id
),

judged AS (
  SELECT
    job.tenant_id,
    job.job_id,
    job.business_unit_id,
    job.job_status,
    job.is_no_charge,
    job.completed_on_local,
    sold.first_sold_on_local,
    -- Without a threshold any sale closes; with one, the sales of the job have to reach it together.
    sold.job_id IS NOT NULL
      AND (job.sold_threshold IS NULL OR sold.sold_subtotal >= job.sold_threshold) AS is_closed
  FROM st_dim.dim_jobs AS job
  LEFT JOIN sold
    ON sold.tenant_id = job.tenant_id AND sold.job_id = job.job_id
  WHERE job.family <> 'none'
),

dated AS (
  SELECT
    tenant_id,
    job_id,
    business_unit_id,
    is_no_charge,
    is_closed,
    IF(is_closed, first_sold_on_local, completed_on_local) AS on_date
  FROM judged
  WHERE is_closed
    OR job_status = 'Completed'
)

SELECT
  dated.tenant_id,
  dated.job_id,
  dated.business_unit_id,
  dated.is_no_charge,
  dated.is_closed,
  dated.on_date
FROM dated
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = dated.tenant_id
  AND unit.business_unit_id = dated.business_unit_id
  AND dated.on_date BETWEEN unit.valid_from AND unit.valid_to
WHERE unit.role IN ('SALES', 'BOTH')
