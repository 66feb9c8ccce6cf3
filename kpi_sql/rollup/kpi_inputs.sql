-- Which entities each KPI is made of, but the lists of units and types, which every build has whole.
-- table: st_kpi.kpi_inputs
WITH needed AS (
  SELECT 'leads' AS kpi, 'customers' AS entity
  UNION ALL SELECT 'total_booked' AS kpi, 'estimates' AS entity
  UNION ALL SELECT 'success_rate' AS kpi, 'estimates' AS entity
  UNION ALL SELECT 'closed_average_sale' AS kpi, 'estimates' AS entity
  UNION ALL SELECT 'estimates_scheduled' AS kpi, 'appointments' AS entity
  UNION ALL SELECT 'produced' AS kpi, 'appointments' AS entity
  UNION ALL SELECT 'produced' AS kpi, 'invoices' AS entity
  UNION ALL SELECT 'future_bookings' AS kpi, 'appointments' AS entity
  UNION ALL SELECT 'future_bookings' AS kpi, 'invoices' AS entity
  UNION ALL SELECT 'collected' AS kpi, 'payments' AS entity
  UNION ALL SELECT 'collected' AS kpi, 'invoices' AS entity
  UNION ALL SELECT 'outstanding_ar' AS kpi, 'appointments' AS entity
  UNION ALL SELECT 'outstanding_ar' AS kpi, 'invoices' AS entity
  UNION ALL SELECT 'outstanding_ar' AS kpi, 'payments' AS entity
  UNION ALL SELECT 'outstanding_ar' AS kpi, 'credit_memos' AS entity
  UNION ALL SELECT 'outstanding_ar' AS kpi, 'locations' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'appointments' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'invoices' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'gross_pay_items' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'returns' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'purchase_orders' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'inventory_bills' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'receipts' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'appointments' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'invoices' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'gross_pay_items' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'returns' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'purchase_orders' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'inventory_bills' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'receipts' AS entity
  UNION ALL SELECT 'leads' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'estimates' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'estimates_scheduled' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'total_booked' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'success_rate' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'closed_average_sale' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'produced' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'future_bookings' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'gpm' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'warranty_pct' AS kpi, 'jobs' AS entity
  UNION ALL SELECT 'outstanding_ar' AS kpi, 'jobs' AS entity
)

SELECT kpi, entity
FROM needed
-- Of the purchases, those that the setting takes the cost from.
WHERE entity NOT IN ('purchase_orders', 'inventory_bills', 'receipts')
  OR entity = @cost_source
  OR (@cost_source = 'bill_else_po' AND entity IN ('purchase_orders', 'inventory_bills'))
