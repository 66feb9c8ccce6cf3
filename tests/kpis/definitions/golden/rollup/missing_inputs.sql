/* Which KPIs are without one of their inputs, because the entity was never read: forbidden to the app, or not loaded yet. */
/* table: st_kpi.missing_inputs */
/* Jobs, business units and job types are not listed: without them there is no build. */
WITH needed AS (
  SELECT
    'leads' AS kpi,
    'customers' AS entity
  UNION ALL
  SELECT
    'total_booked' AS kpi,
    'estimates' AS entity
  UNION ALL
  SELECT
    'success_rate' AS kpi,
    'estimates' AS entity
  UNION ALL
  SELECT
    'closed_average_sale' AS kpi,
    'estimates' AS entity
  UNION ALL
  SELECT
    'estimates_scheduled' AS kpi,
    'appointments' AS entity
  UNION ALL
  SELECT
    'produced' AS kpi,
    'appointments' AS entity
  UNION ALL
  SELECT
    'produced' AS kpi,
    'invoices' AS entity
  UNION ALL
  SELECT
    'future_bookings' AS kpi,
    'appointments' AS entity
  UNION ALL
  SELECT
    'future_bookings' AS kpi,
    'invoices' AS entity
  UNION ALL
  SELECT
    'collected' AS kpi,
    'payments' AS entity
  UNION ALL
  SELECT
    'collected' AS kpi,
    'invoices' AS entity
  UNION ALL
  SELECT
    'outstanding_ar' AS kpi,
    'appointments' AS entity
  UNION ALL
  SELECT
    'outstanding_ar' AS kpi,
    'invoices' AS entity
  UNION ALL
  SELECT
    'outstanding_ar' AS kpi,
    'payments' AS entity
  UNION ALL
  SELECT
    'outstanding_ar' AS kpi,
    'credit_memos' AS entity
  UNION ALL
  SELECT
    'outstanding_ar' AS kpi,
    'locations' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'appointments' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'invoices' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'gross_pay_items' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'returns' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'purchase_orders' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'inventory_bills' AS entity
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'receipts' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'appointments' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'invoices' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'gross_pay_items' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'returns' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'purchase_orders' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'inventory_bills' AS entity
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'receipts' AS entity
), used AS (
  SELECT
    kpi,
    entity
  FROM needed
  /* Of the purchases, those that the setting takes the cost from. */
  WHERE
    NOT entity IN ('purchase_orders', 'inventory_bills', 'receipts')
    OR entity = $cost_source
    OR (
      $cost_source = 'bill_else_po'
      AND entity IN ('purchase_orders', 'inventory_bills')
    )
), tenants AS (
  SELECT
    tenant_id
  FROM st_dim.dim_jobs
  GROUP BY
    tenant_id
)
SELECT
  tenants.tenant_id,
  used.kpi,
  used.entity
FROM tenants
CROSS JOIN used /* cross join: some twenty rows for each company */
WHERE
  NOT CASE
    WHEN $entities_read IS NULL OR ARRAY_LENGTH($entities_read) = 0
    THEN FALSE
    WHEN ARRAY_CONTAINS($entities_read, used.entity)
    THEN TRUE
    WHEN used.entity IS NULL OR ARRAY_LENGTH($entities_read) <> LIST_COUNT($entities_read)
    THEN NULL
    ELSE FALSE
  END
