-- The cost of a job by part, one row per job and part: each source is summed before anything is joined to it.
-- table: st_staging.job_costs
-- incremental_by: job_id
WITH pay AS (
  SELECT
    tenant_id,
    NULLIF(job_id, 0) AS job_id,
    -- Salary and Reimbursement are no cost of a job, even where the line names one.
    CASE
      WHEN gross_pay_item_type = 'TimesheetTime' THEN 'labour_pay'
      WHEN gross_pay_item_type IN ('CustomBonus', 'InvoiceRelatedBonus') THEN 'payroll_adjustments'
    END AS part,
    COALESCE(amount, CAST(0 AS NUMERIC)) + COALESCE(amount_adjustment, CAST(0 AS NUMERIC)) AS amount
  FROM st_raw.gross_pay_items
  WHERE COALESCE(active, TRUE)
),

items AS (
  SELECT
    item.tenant_id,
    invoice.job_id,
    CASE item.type WHEN 'Material' THEN 'materials' WHEN 'Equipment' THEN 'equipment' END AS part,
    -- total_cost is the extended cost; the column named cost is that of one unit.
    COALESCE(item.total_cost, CAST(0 AS NUMERIC)) AS amount
  FROM st_raw.invoice_items AS item
  JOIN st_staging.invoices AS invoice
    ON invoice.tenant_id = item.tenant_id AND invoice.invoice_id = item.invoice_id
  WHERE COALESCE(item.active, TRUE)
),

returned AS (
  SELECT
    tenant_id,
    NULLIF(job_id, 0) AS job_id,
    'returns' AS part,
    -COALESCE(return_amount, CAST(0 AS NUMERIC)) AS amount
  FROM st_raw.returns
  WHERE COALESCE(active, TRUE)
    AND COALESCE(status, '') <> 'Canceled'
),

costs AS (
  SELECT tenant_id, job_id, part, amount FROM pay
  UNION ALL
  SELECT tenant_id, job_id, part, amount FROM items
  UNION ALL
  SELECT tenant_id, job_id, 'purchases' AS part, amount FROM st_staging.purchases
  UNION ALL
  SELECT tenant_id, job_id, part, amount FROM returned
)

SELECT tenant_id, job_id, part, SUM(amount) AS amount
FROM costs
WHERE job_id IS NOT NULL
  AND part IS NOT NULL
GROUP BY tenant_id, job_id, part
