/* No column the numbers are made of is empty all through, or suddenly in all that came last. */
/* A field that was renamed or is sent no more reads as NULL for ever. */
/* check: fail */
/* way_on: A field was renamed or is sent no more: st_ops.schema_drift names fields that are new, and one that is the old one under a new name has to be read by a newer st-kpi. */
/* accepted_by: column_name */
/* A few rows may lack a value by chance, so small tables say nothing. Left out are columns that may well be empty: */
/* optional: active, adjustment_to_id, amount_adjustment, applied_to, no_charge, sold_threshold, tax, tax_amount */
/* optional: project_id, estimates.business_unit_id, estimates.created_on, gross_pay_items.created_on, gross_pay_items.date */
/* optional: invoices.created_on, invoices.invoice_date, inventory_bills.bill_date, inventory_bills.created_on */
/* optional: payments.created_on, purchase_orders.created_on, purchase_orders.date, receipts.created_on */
/* optional: receipts.received_on, returns.created_on, returns.return_date */
/* optional: inventory_bills.job_id, credit_memos.business_unit_id, credit_memos.location_id */
WITH counted AS (
  SELECT
    tenant_id,
    'appointments.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.appointments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'appointments.start' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(start) AS filled
  FROM st_raw.appointments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'appointments.status' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(status) AS filled
  FROM st_raw.appointments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'business_units.name' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(name) AS filled
  FROM st_raw.business_units
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'credit_memos.balance' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(balance) AS filled
  FROM st_raw.credit_memos
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'credit_memos.customer_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(customer_id) AS filled
  FROM st_raw.credit_memos
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'customers.is_test' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(is_test) AS filled
  FROM st_raw.customers
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'estimates.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.estimates
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'estimates.sold_on' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(sold_on) AS filled
  FROM st_raw.estimates
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'estimates.status_name' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(status_name) AS filled
  FROM st_raw.estimates
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'estimates.subtotal' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(subtotal) AS filled
  FROM st_raw.estimates
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'gross_pay_items.amount' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(amount) AS filled
  FROM st_raw.gross_pay_items
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'gross_pay_items.gross_pay_item_type' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(gross_pay_item_type) AS filled
  FROM st_raw.gross_pay_items
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'gross_pay_items.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.gross_pay_items
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'inventory_bills.bill_amount' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(bill_amount) AS filled
  FROM st_raw.inventory_bills
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'inventory_bills.purchase_order_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(purchase_order_id) AS filled
  FROM st_raw.inventory_bills
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoice_items.invoice_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(invoice_id) AS filled
  FROM st_raw.invoice_items
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoice_items.total_cost' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(total_cost) AS filled
  FROM st_raw.invoice_items
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoice_items.type' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(type) AS filled
  FROM st_raw.invoice_items
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoices.balance' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(balance) AS filled
  FROM st_raw.invoices
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoices.business_unit_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(business_unit_id) AS filled
  FROM st_raw.invoices
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoices.customer_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(customer_id) AS filled
  FROM st_raw.invoices
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoices.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.invoices
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoices.location_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(location_id) AS filled
  FROM st_raw.invoices
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'invoices.sub_total' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(sub_total) AS filled
  FROM st_raw.invoices
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'job_types.name' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(name) AS filled
  FROM st_raw.job_types
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.business_unit_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(business_unit_id) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.completed_on' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(completed_on) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.created_on' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(created_on) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.customer_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(customer_id) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.first_appointment_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(first_appointment_id) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.job_number' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_number) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.job_status' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_status) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.job_type_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_type_id) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'jobs.location_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(location_id) AS filled
  FROM st_raw.jobs
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'locations.customer_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(customer_id) AS filled
  FROM st_raw.locations
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payment_applications.applied_amount' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(applied_amount) AS filled
  FROM st_raw.payment_applications
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payment_applications.applied_to' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(applied_to) AS filled
  FROM st_raw.payment_applications
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payment_applications.id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(id) AS filled
  FROM st_raw.payment_applications
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payment_applications.payment_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(payment_id) AS filled
  FROM st_raw.payment_applications
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payments.business_unit_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(business_unit_id) AS filled
  FROM st_raw.payments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payments.customer_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(customer_id) AS filled
  FROM st_raw.payments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payments.date' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(date) AS filled
  FROM st_raw.payments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'payments.unapplied_amount' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(unapplied_amount) AS filled
  FROM st_raw.payments
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'purchase_orders.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.purchase_orders
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'purchase_orders.status' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(status) AS filled
  FROM st_raw.purchase_orders
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'purchase_orders.total' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(total) AS filled
  FROM st_raw.purchase_orders
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'receipts.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.receipts
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'receipts.receipt_amount' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(receipt_amount) AS filled
  FROM st_raw.receipts
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'returns.job_id' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(job_id) AS filled
  FROM st_raw.returns
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'returns.return_amount' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(return_amount) AS filled
  FROM st_raw.returns
  GROUP BY
    tenant_id,
    loaded_day
  UNION ALL
  SELECT
    tenant_id,
    'returns.status' AS column_name,
    CAST(_loaded_at AS DATE) AS loaded_day,
    COUNT(*) AS row_count,
    COUNT(status) AS filled
  FROM st_raw.returns
  GROUP BY
    tenant_id,
    loaded_day
), compared /* The rows that came on the last day beside all that came before. */ AS (
  SELECT
    tenant_id,
    column_name,
    SUM(CAST(row_count AS DECIMAL(38, 9))) AS row_count,
    SUM(CAST(filled AS DECIMAL(38, 9))) AS filled,
    SUM(
      CAST(CASE WHEN loaded_day = last_day THEN row_count ELSE 0 END AS DECIMAL(38, 9))
    ) AS last_row_count,
    SUM(CAST(CASE WHEN loaded_day = last_day THEN filled ELSE 0 END AS DECIMAL(38, 9))) AS last_filled
  FROM (
    SELECT
      tenant_id,
      column_name,
      loaded_day,
      row_count,
      filled,
      MAX(loaded_day) OVER (PARTITION BY tenant_id, column_name) AS last_day
    FROM counted
  ) AS by_day
  GROUP BY
    tenant_id,
    column_name
)
SELECT
  tenant_id,
  column_name,
  row_count,
  last_row_count
FROM compared
WHERE
  (
    row_count >= 1000 AND filled = 0
  )
  OR /* Of what is nearly always there, fifty rows without any are no chance. A new job is not completed yet. */ (
    last_row_count >= 50
    AND last_filled = 0
    AND 10 * filled >= 9 * (
      row_count - last_row_count
    )
    AND filled > 0
    AND column_name <> 'jobs.completed_on'
  )
ORDER BY
  column_name NULLS FIRST,
  tenant_id NULLS FIRST
