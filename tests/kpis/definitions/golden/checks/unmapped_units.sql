/* Every business unit with money is in the mapping on the day that the money is dated; one without a name by its id. */
/* check: fail */
/* way_on: Write a line for the unit in business_units.csv, by name or id and for these days: its rollup and role, or the role NONE and no rollup where it does not count. */
WITH money AS (
  SELECT
    job.tenant_id,
    job.business_unit_id,
    job.work_on_local AS on_date,
    invoice.sub_total AS amount
  FROM st_staging.invoices AS invoice
  JOIN st_dim.dim_jobs AS job
    ON job.tenant_id = invoice.tenant_id AND job.job_id = invoice.job_id
  UNION ALL
  SELECT
    tenant_id,
    business_unit_id,
    $as_of AS on_date,
    balance AS amount
  FROM st_staging.invoices
  UNION ALL
  SELECT
    tenant_id,
    business_unit_id,
    paid_on_local AS on_date,
    applied_amount AS amount
  FROM st_staging.payment_lines
  UNION ALL
  SELECT
    tenant_id,
    business_unit_id,
    sold_on_local AS on_date,
    subtotal AS amount
  FROM st_staging.sold_estimates
  UNION ALL
  SELECT
    job.tenant_id,
    job.business_unit_id,
    job.work_on_local AS on_date,
    cost.amount
  FROM st_staging.job_costs AS cost
  JOIN st_dim.dim_jobs AS job
    ON job.tenant_id = cost.tenant_id AND job.job_id = cost.job_id
  UNION ALL
  SELECT
    tenant_id,
    business_unit_id,
    $as_of AS on_date,
    unapplied_amount AS amount
  FROM st_staging.payments
  UNION ALL
  SELECT
    tenant_id,
    business_unit_id,
    $as_of AS on_date,
    balance AS amount
  FROM st_staging.credit_memos
)
SELECT
  money.tenant_id,
  money.business_unit_id,
  unit.business_unit,
  SUM(ABS(money.amount)) AS amount,
  MIN(money.on_date) AS first_day,
  MAX(money.on_date) AS last_day
FROM money
LEFT JOIN st_ref.dim_bu_rollup AS mapped
  ON mapped.tenant_id = money.tenant_id
  AND mapped.business_unit_id = money.business_unit_id
  AND money.on_date BETWEEN mapped.valid_from AND mapped.valid_to
LEFT JOIN st_ref.dim_business_units AS unit
  ON unit.tenant_id = money.tenant_id
  AND unit.business_unit_id = money.business_unit_id
WHERE
  mapped.business_unit_id IS NULL
  AND NOT money.business_unit_id IS NULL
  AND NOT money.on_date IS NULL
  AND money.amount <> 0
GROUP BY
  money.tenant_id,
  money.business_unit_id,
  unit.business_unit
ORDER BY
  amount DESC,
  money.business_unit_id NULLS FIRST
