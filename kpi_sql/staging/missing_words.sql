-- Words of the source that the SQL looks for and that did not occur in the last year of their table, one row each.
-- inline: st_staging.missing_words
-- A word that the SQL of a KPI compares a column of the source with belongs in this list.
WITH wanted AS (
  SELECT 'jobs.job_status' AS field, 'Completed' AS literal, TRUE AS is_required
  UNION ALL SELECT 'jobs.job_status' AS field, 'Canceled' AS literal, FALSE AS is_required
  UNION ALL SELECT 'appointments.status' AS field, 'Canceled' AS literal, FALSE AS is_required
  UNION ALL SELECT 'estimates.status_name' AS field, 'Sold' AS literal, TRUE AS is_required
  UNION ALL SELECT 'gross_pay_items.gross_pay_item_type' AS field, 'TimesheetTime' AS literal, TRUE AS is_required
  UNION ALL SELECT 'gross_pay_items.gross_pay_item_type' AS field, 'CustomBonus' AS literal, FALSE AS is_required
  UNION ALL SELECT 'gross_pay_items.gross_pay_item_type' AS field, 'InvoiceRelatedBonus' AS literal, FALSE AS is_required
  UNION ALL SELECT 'invoice_items.type' AS field, 'Material' AS literal, FALSE AS is_required
  UNION ALL SELECT 'invoice_items.type' AS field, 'Equipment' AS literal, FALSE AS is_required
  UNION ALL SELECT 'purchase_orders.status' AS field, 'Canceled' AS literal, FALSE AS is_required
  UNION ALL SELECT 'returns.status' AS field, 'Canceled' AS literal, FALSE AS is_required
),

seen AS (
  SELECT
    record.tenant_id, 'jobs.job_status' AS field, record.job_status AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.jobs AS record
  GROUP BY record.tenant_id, record.job_status
  UNION ALL
  SELECT
    record.tenant_id, 'appointments.status' AS field, record.status AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.appointments AS record
  GROUP BY record.tenant_id, record.status
  UNION ALL
  SELECT
    record.tenant_id, 'estimates.status_name' AS field, record.status_name AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.estimates AS record
  GROUP BY record.tenant_id, record.status_name
  UNION ALL
  SELECT
    record.tenant_id, 'gross_pay_items.gross_pay_item_type' AS field, record.gross_pay_item_type AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.gross_pay_items AS record
  GROUP BY record.tenant_id, record.gross_pay_item_type
  UNION ALL
  SELECT
    record.tenant_id, 'invoice_items.type' AS field, record.type AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.invoice_items AS record
  GROUP BY record.tenant_id, record.type
  UNION ALL
  SELECT
    record.tenant_id, 'purchase_orders.status' AS field, record.status AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.purchase_orders AS record
  GROUP BY record.tenant_id, record.status
  UNION ALL
  SELECT
    record.tenant_id, 'returns.status' AS field, record.status AS literal,
    MAX(record.created_on) AS last_on, CAST(COUNT(*) AS NUMERIC) AS row_count
  FROM st_raw.returns AS record
  GROUP BY record.tenant_id, record.status
),

newest AS (
  SELECT tenant_id, field, MAX(last_on) AS last_on, SUM(row_count) >= 1000 AS has_many_rows
  FROM seen
  GROUP BY tenant_id, field
)

SELECT newest.tenant_id, wanted.field, wanted.literal, wanted.is_required, newest.has_many_rows
FROM newest
JOIN wanted -- no tenant: the words are the same for everyone
  ON wanted.field = newest.field
LEFT JOIN seen
  ON seen.tenant_id = newest.tenant_id
  AND seen.field = wanted.field
  AND seen.literal = wanted.literal
WHERE seen.literal IS NULL
  -- Added, because nothing can be taken from an empty time, which is the year 1.
  OR TIMESTAMP_ADD(seen.last_on, INTERVAL 365 DAY) < newest.last_on
  -- Without a time of its own among rows that have one, a word is not known to be of the last year.
  OR (seen.last_on IS NULL AND newest.last_on IS NOT NULL)
