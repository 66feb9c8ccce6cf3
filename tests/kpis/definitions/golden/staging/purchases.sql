/* Purchases charged to jobs, from the one source that the setting names, one row per document. */
/* table: st_staging.purchases */
WITH orders AS (
  SELECT
    tenant_id,
    id AS purchase_order_id,
    NULLIF(job_id, 0) AS job_id,
    COALESCE(status, '') = 'Canceled' AS is_canceled,
    COALESCE(total, CAST(0 AS DECIMAL(38, 9))) - CASE
      WHEN $include_tax
      THEN CAST(0 AS DECIMAL(38, 9))
      ELSE COALESCE(tax, CAST(0 AS DECIMAL(38, 9)))
    END AS amount
  FROM st_raw.purchase_orders
  WHERE
    COALESCE(active, TRUE)
), bills AS (
  SELECT
    bill.tenant_id,
    bill.id AS bill_id,
    bill.purchase_order_id,
    COALESCE(NULLIF(bill.job_id, 0), NULLIF(po.job_id, 0)) AS job_id,
    COALESCE(bill.bill_amount, CAST(0 AS DECIMAL(38, 9))) - CASE
      WHEN $include_tax
      THEN CAST(0 AS DECIMAL(38, 9))
      ELSE COALESCE(bill.tax_amount, CAST(0 AS DECIMAL(38, 9)))
    END AS amount
  FROM st_raw.inventory_bills AS bill
  LEFT JOIN st_raw.purchase_orders AS po
    ON po.tenant_id = bill.tenant_id AND po.id = bill.purchase_order_id
  WHERE
    COALESCE(bill.active, TRUE)
    AND COALESCE(po.active, TRUE)
    AND /* The bill of a canceled order is as void as the order. */ COALESCE(po.status, '') <> 'Canceled'
), billed_orders AS (
  SELECT
    tenant_id,
    purchase_order_id
  FROM bills
  WHERE
    NOT purchase_order_id IS NULL
  GROUP BY
    tenant_id,
    purchase_order_id
)
SELECT
  orders.tenant_id,
  orders.job_id,
  'purchase_orders' AS source_entity,
  orders.purchase_order_id AS source_id,
  orders.amount
FROM orders
LEFT JOIN billed_orders
  ON billed_orders.tenant_id = orders.tenant_id
  AND billed_orders.purchase_order_id = orders.purchase_order_id
WHERE
  NOT orders.is_canceled
  AND NOT orders.job_id IS NULL
  AND (
    $cost_source = 'purchase_orders'
    OR (
      $cost_source = 'bill_else_po' AND billed_orders.purchase_order_id IS NULL
    )
  )
UNION ALL
SELECT
  bills.tenant_id,
  bills.job_id,
  'inventory_bills' AS source_entity,
  bills.bill_id AS source_id,
  bills.amount
FROM bills
WHERE
  $cost_source IN ('bill_else_po', 'inventory_bills') AND NOT bills.job_id IS NULL
UNION ALL
SELECT
  receipt.tenant_id,
  NULLIF(receipt.job_id, 0) AS job_id,
  'receipts' AS source_entity,
  receipt.id AS source_id,
  COALESCE(receipt.receipt_amount, CAST(0 AS DECIMAL(38, 9))) - CASE
    WHEN $include_tax
    THEN CAST(0 AS DECIMAL(38, 9))
    ELSE COALESCE(receipt.tax_amount, CAST(0 AS DECIMAL(38, 9)))
  END AS amount
FROM st_raw.receipts AS receipt
WHERE
  $cost_source = 'receipts'
  AND COALESCE(receipt.active, TRUE)
  AND NOT NULLIF(receipt.job_id, 0) IS NULL
