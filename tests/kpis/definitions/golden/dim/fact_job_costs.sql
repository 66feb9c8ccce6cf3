/* Revenue and cost of each job that counts, one row per job: total_cost is the sum of its six parts. */
/* table: st_dim.fact_job_costs */
/* incremental_by: job_id */
WITH revenue AS (
  SELECT
    tenant_id,
    job_id,
    SUM(sub_total) AS amount
  FROM st_staging.invoices
  WHERE
    NOT job_id IS NULL
  GROUP BY
    tenant_id,
    job_id
), cost AS (
  SELECT
    tenant_id,
    job_id,
    SUM(CASE WHEN part = 'labour_pay' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS labour_pay,
    SUM(
      CASE
        WHEN part = 'payroll_adjustments'
        THEN amount
        ELSE CAST(0 AS DECIMAL(38, 9))
      END
    ) AS payroll_adjustments,
    SUM(CASE WHEN part = 'materials' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS materials,
    SUM(CASE WHEN part = 'equipment' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS equipment,
    SUM(CASE WHEN part = 'purchases' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS purchases,
    SUM(CASE WHEN part = 'returns' THEN amount ELSE CAST(0 AS DECIMAL(38, 9)) END) AS returns,
    SUM(amount) AS total_cost
  FROM st_staging.job_costs
  GROUP BY
    tenant_id,
    job_id
)
SELECT
  job.tenant_id,
  job.job_id,
  COALESCE(revenue.amount, CAST(0 AS DECIMAL(38, 9))) AS revenue,
  COALESCE(cost.labour_pay, CAST(0 AS DECIMAL(38, 9))) AS labour_pay,
  COALESCE(cost.payroll_adjustments, CAST(0 AS DECIMAL(38, 9))) AS payroll_adjustments,
  COALESCE(cost.materials, CAST(0 AS DECIMAL(38, 9))) AS materials,
  COALESCE(cost.equipment, CAST(0 AS DECIMAL(38, 9))) AS equipment,
  COALESCE(cost.purchases, CAST(0 AS DECIMAL(38, 9))) AS purchases,
  COALESCE(cost.returns, CAST(0 AS DECIMAL(38, 9))) AS returns,
  COALESCE(cost.total_cost, CAST(0 AS DECIMAL(38, 9))) AS total_cost
FROM st_dim.dim_jobs AS job
LEFT JOIN revenue
  ON revenue.tenant_id = job.tenant_id AND revenue.job_id = job.job_id
LEFT JOIN cost
  ON cost.tenant_id = job.tenant_id AND cost.job_id = job.job_id
