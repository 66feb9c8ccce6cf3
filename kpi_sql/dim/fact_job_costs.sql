-- Revenue and cost of each job that counts, one row per job: total_cost is the sum of its six parts.
-- table: st_dim.fact_job_costs
-- incremental_by: job_id
WITH revenue AS (
  SELECT tenant_id, job_id, SUM(sub_total) AS amount
  FROM st_staging.invoices
  WHERE job_id IS NOT NULL
  GROUP BY tenant_id, job_id
),

cost AS (
  SELECT
    tenant_id,
    job_id,
    SUM(IF(part = 'labour_pay', amount, CAST(0 AS NUMERIC))) AS labour_pay,
    SUM(IF(part = 'payroll_adjustments', amount, CAST(0 AS NUMERIC))) AS payroll_adjustments,
    SUM(IF(part = 'materials', amount, CAST(0 AS NUMERIC))) AS materials,
    SUM(IF(part = 'equipment', amount, CAST(0 AS NUMERIC))) AS equipment,
    SUM(IF(part = 'purchases', amount, CAST(0 AS NUMERIC))) AS purchases,
    SUM(IF(part = 'returns', amount, CAST(0 AS NUMERIC))) AS returns,
    SUM(amount) AS total_cost
  FROM st_staging.job_costs
  GROUP BY tenant_id, job_id
)

SELECT
  job.tenant_id,
  job.job_id,
  COALESCE(revenue.amount, CAST(0 AS NUMERIC)) AS revenue,
  COALESCE(cost.labour_pay, CAST(0 AS NUMERIC)) AS labour_pay,
  COALESCE(cost.payroll_adjustments, CAST(0 AS NUMERIC)) AS payroll_adjustments,
  COALESCE(cost.materials, CAST(0 AS NUMERIC)) AS materials,
  COALESCE(cost.equipment, CAST(0 AS NUMERIC)) AS equipment,
  COALESCE(cost.purchases, CAST(0 AS NUMERIC)) AS purchases,
  COALESCE(cost.returns, CAST(0 AS NUMERIC)) AS returns,
  COALESCE(cost.total_cost, CAST(0 AS NUMERIC)) AS total_cost
FROM st_dim.dim_jobs AS job
LEFT JOIN revenue
  ON revenue.tenant_id = job.tenant_id AND revenue.job_id = job.job_id
LEFT JOIN cost
  ON cost.tenant_id = job.tenant_id AND cost.job_id = job.job_id
