/* Purchases of the source that the setting names, one row per document, with the rule that makes one no cost, or none. */
/* inline: st_staging.purchases */
WITH orders AS (
  SELECT
    po.tenant_id,
    po.id AS purchase_order_id,
    COALESCE(NULLIF(po.job_id, 0), project.job_id) AS job_id,
    NULLIF(po.project_id, 0) AS project_id,
    COALESCE(po.date, po.created_on) AS dated_at,
    COALESCE(po.total, CAST(0 AS DECIMAL(38, 9))) - CASE
      WHEN $include_tax
      THEN CAST(0 AS DECIMAL(38, 9))
      ELSE COALESCE(po.tax, CAST(0 AS DECIMAL(38, 9)))
    END AS amount,
    CASE
      WHEN NOT COALESCE(po.active, TRUE)
      THEN 'inactive'
      WHEN COALESCE(po.status, '') = 'Canceled'
      THEN 'canceled'
    END AS rule
  FROM st_raw.purchase_orders AS po
  LEFT JOIN st_staging.project_jobs AS project
    ON project.tenant_id = po.tenant_id
    AND project.project_id = po.project_id
    AND project.takes_money
), bills AS (
  SELECT
    bill.tenant_id,
    bill.id AS bill_id,
    bill.purchase_order_id,
    COALESCE(NULLIF(bill.job_id, 0), po.job_id) AS job_id,
    po.project_id,
    COALESCE(bill.bill_date, bill.created_on) AS dated_at,
    COALESCE(bill.bill_amount, CAST(0 AS DECIMAL(38, 9))) - CASE
      WHEN $include_tax
      THEN CAST(0 AS DECIMAL(38, 9))
      ELSE COALESCE(bill.tax_amount, CAST(0 AS DECIMAL(38, 9)))
    END AS amount,
    CASE
      WHEN NOT COALESCE(bill.active, TRUE)
      THEN 'inactive'
      WHEN NOT po.rule IS NULL
      THEN 'its order is ' || po.rule
    END AS rule
  FROM st_raw.inventory_bills AS bill
  LEFT JOIN orders AS po
    ON po.tenant_id = bill.tenant_id AND po.purchase_order_id = bill.purchase_order_id
), billed_orders AS (
  SELECT
    tenant_id,
    purchase_order_id
  FROM bills
  WHERE
    NOT purchase_order_id IS NULL AND rule IS NULL
  GROUP BY
    tenant_id,
    purchase_order_id
), documents AS (
  SELECT
    orders.tenant_id,
    orders.job_id,
    orders.project_id,
    'purchase_orders' AS source_entity,
    orders.purchase_order_id AS source_id,
    orders.dated_at,
    orders.amount,
    CASE
      WHEN orders.rule IS NULL
      AND NOT billed_orders.purchase_order_id IS NULL
      AND $cost_source = 'bill_else_po'
      THEN 'replaced by its bill'
      ELSE orders.rule
    END AS rule
  FROM orders
  LEFT JOIN billed_orders
    ON billed_orders.tenant_id = orders.tenant_id
    AND billed_orders.purchase_order_id = orders.purchase_order_id
  WHERE
    $cost_source IN ('bill_else_po', 'purchase_orders')
  UNION ALL
  SELECT
    tenant_id,
    job_id,
    project_id,
    'inventory_bills' AS source_entity,
    bill_id AS source_id,
    dated_at,
    amount,
    rule
  FROM bills
  WHERE
    $cost_source IN ('bill_else_po', 'inventory_bills')
  UNION ALL
  SELECT
    receipt.tenant_id,
    NULLIF(receipt.job_id, 0) AS job_id,
    CAST(NULL AS BIGINT) AS project_id,
    'receipts' AS source_entity,
    receipt.id AS source_id,
    COALESCE(receipt.received_on, receipt.created_on) AS dated_at,
    COALESCE(receipt.receipt_amount, CAST(0 AS DECIMAL(38, 9))) - CASE
      WHEN $include_tax
      THEN CAST(0 AS DECIMAL(38, 9))
      ELSE COALESCE(receipt.tax_amount, CAST(0 AS DECIMAL(38, 9)))
    END AS amount,
    CASE WHEN COALESCE(receipt.active, TRUE) THEN CAST(NULL AS TEXT) ELSE 'inactive' END AS rule
  FROM st_raw.receipts AS receipt
  WHERE
    $cost_source = 'receipts'
)
SELECT
  tenant_id,
  job_id,
  project_id,
  source_entity,
  source_id,
  dated_at,
  amount,
  rule
FROM documents
