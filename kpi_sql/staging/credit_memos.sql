-- Credit memos that count, one row each.
-- table: st_staging.credit_memos
SELECT
  tenant_id,
  id AS credit_memo_id,
  NULLIF(business_unit_id, 0) AS business_unit_id,
  NULLIF(customer_id, 0) AS customer_id,
  NULLIF(location_id, 0) AS location_id,
  COALESCE(balance, CAST(0 AS NUMERIC)) AS balance
FROM st_raw.credit_memos
WHERE COALESCE(active, TRUE)
