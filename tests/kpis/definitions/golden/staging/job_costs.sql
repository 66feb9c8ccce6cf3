/* The cost of a job by part, one row per job and part: each source is summed before anything is joined to it. */
/* table: st_staging.job_costs */
/* incremental_by: job_id */
WITH pay AS (
  SELECT
    tenant_id,
    NULLIF(job_id, 0) AS job_id,
    CASE
      WHEN gross_pay_item_type = 'TimesheetTime'
      THEN 'labour_pay'
      WHEN gross_pay_item_type IN ('CustomBonus', 'InvoiceRelatedBonus')
      THEN 'payroll_adjustments'
    END AS part, /* Salary and Reimbursement are no cost of a job, even where the line names one. */
    COALESCE(amount, CAST(0 AS DECIMAL(38, 9))) + COALESCE(amount_adjustment, CAST(0 AS DECIMAL(38, 9))) AS amount
  FROM st_raw.gross_pay_items
  WHERE
    COALESCE(active, TRUE)
), items AS (
  SELECT
    item.tenant_id,
    invoice.job_id,
    CASE item.type WHEN 'Material' THEN 'materials' WHEN 'Equipment' THEN 'equipment' END AS part,
    COALESCE(item.total_cost, CAST(0 AS DECIMAL(38, 9))) AS amount /* total_cost is the extended cost; the column named cost is that of one unit. */
  FROM st_raw.invoice_items AS item
  JOIN st_staging.invoices AS invoice
    ON invoice.tenant_id = item.tenant_id AND invoice.invoice_id = item.invoice_id
  WHERE
    COALESCE(item.active, TRUE)
), returned AS (
  SELECT
    tenant_id,
    NULLIF(job_id, 0) AS job_id,
    'returns' AS part,
    -COALESCE(return_amount, CAST(0 AS DECIMAL(38, 9))) AS amount
  FROM st_raw.returns
  WHERE
    COALESCE(active, TRUE) AND COALESCE(status, '') <> 'Canceled'
), costs AS (
  SELECT
    tenant_id,
    job_id,
    part,
    amount
  FROM pay
  UNION ALL
  SELECT
    tenant_id,
    job_id,
    part,
    amount
  FROM items
  UNION ALL
  SELECT
    tenant_id,
    job_id,
    'purchases' AS part,
    amount
  FROM st_staging.purchases
  UNION ALL
  SELECT
    tenant_id,
    job_id,
    part,
    amount
  FROM returned
)
SELECT
  tenant_id,
  job_id,
  part,
  SUM(amount) AS amount
FROM costs
WHERE
  NOT job_id IS NULL AND NOT part IS NULL
GROUP BY
  tenant_id,
  job_id,
  part
