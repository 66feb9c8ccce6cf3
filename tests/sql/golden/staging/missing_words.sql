/* Words of the source that the SQL looks for and that did not occur in the last year of their table, one row each. */
/* table: st_staging.missing_words */
/* A word that the SQL of a KPI compares a column of the source with belongs in this list. */
WITH wanted AS (
  SELECT
    'jobs.job_status' AS field,
    'Completed' AS literal,
    TRUE AS is_required
  UNION ALL
  SELECT
    'jobs.job_status' AS field,
    'Canceled' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'appointments.status' AS field,
    'Canceled' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'estimates.status_name' AS field,
    'Sold' AS literal,
    TRUE AS is_required
  UNION ALL
  SELECT
    'gross_pay_items.gross_pay_item_type' AS field,
    'TimesheetTime' AS literal,
    TRUE AS is_required
  UNION ALL
  SELECT
    'gross_pay_items.gross_pay_item_type' AS field,
    'CustomBonus' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'gross_pay_items.gross_pay_item_type' AS field,
    'InvoiceRelatedBonus' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'invoice_items.type' AS field,
    'Material' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'invoice_items.type' AS field,
    'Equipment' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'purchase_orders.status' AS field,
    'Canceled' AS literal,
    FALSE AS is_required
  UNION ALL
  SELECT
    'returns.status' AS field,
    'Canceled' AS literal,
    FALSE AS is_required
), seen AS (
  SELECT
    record.tenant_id,
    'jobs.job_status' AS field,
    record.job_status AS literal,
    record.created_on
  FROM st_raw.jobs AS record
  UNION ALL
  SELECT
    record.tenant_id,
    'appointments.status' AS field,
    record.status AS literal,
    record.created_on
  FROM st_raw.appointments AS record
  UNION ALL
  SELECT
    record.tenant_id,
    'estimates.status_name' AS field,
    record.status_name AS literal,
    record.created_on
  FROM st_raw.estimates AS record
  UNION ALL
  SELECT
    record.tenant_id,
    'gross_pay_items.gross_pay_item_type' AS field,
    record.gross_pay_item_type AS literal,
    record.created_on
  FROM st_raw.gross_pay_items AS record
  UNION ALL
  SELECT
    record.tenant_id,
    'invoice_items.type' AS field,
    record.type AS literal,
    record.created_on
  FROM st_raw.invoice_items AS record
  UNION ALL
  SELECT
    record.tenant_id,
    'purchase_orders.status' AS field,
    record.status AS literal,
    record.created_on
  FROM st_raw.purchase_orders AS record
  UNION ALL
  SELECT
    record.tenant_id,
    'returns.status' AS field,
    record.status AS literal,
    record.created_on
  FROM st_raw.returns AS record
), newest AS (
  SELECT
    tenant_id,
    field,
    MAX(created_on) AS created_on,
    COUNT(*) AS row_count
  FROM seen
  GROUP BY
    tenant_id,
    field
), lately AS (
  SELECT
    seen.tenant_id,
    seen.field,
    seen.literal
  FROM seen
  JOIN newest
    ON newest.tenant_id = seen.tenant_id AND newest.field = seen.field
  WHERE
    newest.created_on IS NULL
    OR seen.created_on >= (
      newest.created_on - INTERVAL '365' DAY
    )
  GROUP BY
    seen.tenant_id,
    seen.field,
    seen.literal
)
SELECT
  newest.tenant_id,
  wanted.field,
  wanted.literal,
  wanted.is_required,
  newest.row_count
FROM newest
JOIN wanted /* no tenant: the words are the same for everyone */
  ON wanted.field = newest.field
LEFT JOIN lately
  ON lately.tenant_id = newest.tenant_id
  AND lately.field = wanted.field
  AND lately.literal = wanted.literal
WHERE
  lately.literal IS NULL
