-- Everything that may be cost of a job, one row per pay line, item and document, with the rule that makes it none, or none.
-- inline: st_staging.costs
WITH pay AS (
  SELECT
    pay.tenant_id,
    'gross_pay_items' AS source_entity,
    pay.id AS source_id,
    COALESCE(NULLIF(pay.job_id, 0), project.job_id) AS job_id,
    NULLIF(pay.project_id, 0) AS project_id,
    CASE
      WHEN pay.gross_pay_item_type = 'TimesheetTime' THEN 'labour_pay'
      WHEN pay.gross_pay_item_type IN ('CustomBonus', 'InvoiceRelatedBonus') THEN 'payroll_adjustments'
    END AS part,
    COALESCE(pay.date, pay.created_on) AS dated_at,
    COALESCE(pay.amount, CAST(0 AS NUMERIC)) + COALESCE(pay.amount_adjustment, CAST(0 AS NUMERIC)) AS amount,
    CASE
      WHEN NOT COALESCE(pay.active, TRUE) THEN 'inactive'
      -- Salary and Reimbursement are no cost of a job, even where the line names one.
      WHEN COALESCE(pay.gross_pay_item_type, '') NOT IN ('TimesheetTime', 'CustomBonus', 'InvoiceRelatedBonus')
        THEN 'pay that is no cost of a job'
    END AS rule
  FROM st_raw.gross_pay_items AS pay
  LEFT JOIN st_staging.project_jobs AS project
    ON project.tenant_id = pay.tenant_id
  AND project.project_id = pay.project_id
  AND project.takes_money
),

items AS (
  SELECT
    item.tenant_id,
    'invoice_items' AS source_entity,
    item.id AS source_id,
    COALESCE(invoice.job_id, NULLIF(billed.job_id, 0)) AS job_id,
    NULLIF(billed.project_id, 0) AS project_id,
    CASE item.type WHEN 'Material' THEN 'materials' WHEN 'Equipment' THEN 'equipment' END AS part,
    COALESCE(billed.invoice_date, billed.created_on) AS dated_at,
    -- total_cost is the extended cost; the column named cost is that of one unit.
    COALESCE(item.total_cost, CAST(0 AS NUMERIC)) AS amount,
    CASE
      WHEN NOT COALESCE(item.active, TRUE) THEN 'inactive'
      WHEN billed.id IS NULL THEN 'without a known invoice'
      WHEN invoice.invoice_id IS NULL THEN 'its invoice or job is inactive'
      WHEN COALESCE(item.type, '') NOT IN ('Material', 'Equipment') THEN 'item that is no cost of a job'
    END AS rule
  FROM st_raw.invoice_items AS item
  LEFT JOIN st_raw.invoices AS billed
    ON billed.tenant_id = item.tenant_id AND billed.id = item.invoice_id
  LEFT JOIN st_staging.invoices AS invoice
    ON invoice.tenant_id = item.tenant_id AND invoice.invoice_id = item.invoice_id
),

returned AS (
  SELECT
    back.tenant_id,
    'returns' AS source_entity,
    back.id AS source_id,
    COALESCE(NULLIF(back.job_id, 0), project.job_id) AS job_id,
    NULLIF(back.project_id, 0) AS project_id,
    'returns' AS part,
    COALESCE(back.return_date, back.created_on) AS dated_at,
    -COALESCE(back.return_amount, CAST(0 AS NUMERIC)) AS amount,
    CASE
      WHEN NOT COALESCE(back.active, TRUE) THEN 'inactive'
      WHEN COALESCE(back.status, '') = 'Canceled' THEN 'canceled'
    END AS rule
  FROM st_raw.returns AS back
  LEFT JOIN st_staging.project_jobs AS project
    ON project.tenant_id = back.tenant_id
  AND project.project_id = back.project_id
  AND project.takes_money
),

costs AS (
  SELECT tenant_id, source_entity, source_id, job_id, project_id, part, dated_at, amount, rule FROM pay
  UNION ALL
  SELECT tenant_id, source_entity, source_id, job_id, project_id, part, dated_at, amount, rule FROM items
  UNION ALL
  SELECT tenant_id, source_entity, source_id, job_id, project_id, part, dated_at, amount, rule FROM returned
  UNION ALL
  SELECT
    tenant_id,
    source_entity,
    source_id,
    job_id,
    project_id,
    'purchases' AS part,
    dated_at,
    amount,
    rule
  FROM st_staging.purchases
)

SELECT
  tenant_id,
  source_entity,
  source_id,
  job_id,
  project_id,
  part,
  amount,
  CASE
    WHEN rule IS NOT NULL THEN rule
    WHEN job_id IS NULL AND project_id IS NOT NULL THEN 'without a job, for a project'
    WHEN job_id IS NULL THEN 'without a job'
  END AS rule,
  CASE
    WHEN dated_at < TIMESTAMP '1900-01-01 00:00:00+00' THEN NULL
    WHEN dated_at = TIMESTAMP_TRUNC(dated_at, DAY) THEN DATE(dated_at)
    ELSE DATE(dated_at, @timezone)
  END AS dated_on_local
FROM costs
