-- Jobs with a component of their cost to which a document or pay line came that no earlier build met.
-- history: st_staging.late_costs replace
WITH documents AS (
  SELECT 'invoices' AS entity, tenant_id, id, job_id, component
  FROM st_raw.invoices
  CROSS JOIN UNNEST(['materials', 'equipment']) AS component
  UNION ALL
  SELECT 'purchase_orders' AS entity, tenant_id, id, job_id, 'purchases' AS component
  FROM st_raw.purchase_orders
  UNION ALL
  SELECT 'receipts' AS entity, tenant_id, id, job_id, 'purchases' AS component
  FROM st_raw.receipts
  UNION ALL
  SELECT 'inventory_bills' AS entity, tenant_id, id, job_id, 'purchases' AS component
  FROM st_raw.inventory_bills
  UNION ALL
  SELECT 'returns' AS entity, tenant_id, id, job_id, 'returns' AS component
  FROM st_raw.returns
)

SELECT document.tenant_id, document.job_id, document.component
FROM documents AS document
WHERE document.job_id IS NOT NULL
  AND EXISTS (
    SELECT 1
    FROM st_staging.unseen_rows AS unseen
    WHERE unseen.entity = document.entity
      AND unseen.tenant_id = document.tenant_id
      AND unseen.id = document.id
  )
UNION DISTINCT
-- Pay lines have no id to know them by, only the time they were made.
SELECT tenant_id, job_id, component
FROM st_raw.gross_pay_items
CROSS JOIN UNNEST(['labour_pay', 'payroll_adjustments']) AS component
WHERE job_id IS NOT NULL
  AND created_on > @pay_known_until
