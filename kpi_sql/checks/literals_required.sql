-- The three words most money hangs on occurred in the last year: without them sales, work and labour would read as none.
-- check: fail
WITH wanted AS (
  SELECT 'jobs.job_status' AS field, 'Completed' AS literal
  UNION ALL SELECT 'estimates.status_name' AS field, 'Sold' AS literal
  UNION ALL SELECT 'gross_pay_items.gross_pay_item_type' AS field, 'TimesheetTime' AS literal
),

seen AS (
  SELECT record.tenant_id, 'jobs.job_status' AS field, record.job_status AS literal, record.created_on
  FROM st_raw.jobs AS record
  UNION ALL
  SELECT record.tenant_id, 'estimates.status_name' AS field, record.status_name AS literal, record.created_on
  FROM st_raw.estimates AS record
  UNION ALL
  SELECT record.tenant_id, 'gross_pay_items.gross_pay_item_type' AS field, record.gross_pay_item_type AS literal, record.created_on
  FROM st_raw.gross_pay_items AS record
),

newest AS (
  SELECT tenant_id, field, MAX(created_on) AS created_on, COUNT(*) AS row_count
  FROM seen
  GROUP BY tenant_id, field
),

lately AS (
  SELECT seen.tenant_id, seen.field, seen.literal
  FROM seen
  JOIN newest
    ON newest.tenant_id = seen.tenant_id AND newest.field = seen.field
  WHERE newest.created_on IS NULL
    OR seen.created_on >= TIMESTAMP_SUB(newest.created_on, INTERVAL 365 DAY)
  GROUP BY seen.tenant_id, seen.field, seen.literal
)

SELECT newest.tenant_id, wanted.field, wanted.literal, newest.row_count
FROM newest
JOIN wanted -- no tenant: the words are the same for everyone
  ON wanted.field = newest.field
LEFT JOIN lately
  ON lately.tenant_id = newest.tenant_id
  AND lately.field = wanted.field
  AND lately.literal = wanted.literal
WHERE lately.literal IS NULL
  -- A company that has just begun may have none yet.
  AND newest.row_count >= 1000
ORDER BY wanted.field, wanted.literal, newest.tenant_id
