-- Credit memos that count, one row each. Where one names no location, it is that of the first invoice it paid.
-- inline: st_staging.credit_memos
WITH first_paid AS (
  SELECT credit.tenant_id, credit.id AS credit_memo_id, invoice.location_id
  FROM st_raw.credit_memos AS credit
  CROSS JOIN UNNEST(JSON_QUERY_ARRAY(credit.applied_to)) AS applied
  JOIN st_raw.invoices AS invoice
    ON invoice.tenant_id = credit.tenant_id
    AND invoice.id = SAFE_CAST(JSON_VALUE(applied, '$.appliedTo') AS INT64)
  WHERE NULLIF(invoice.location_id, 0) IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY credit.tenant_id, credit.id
    ORDER BY SAFE_CAST(JSON_VALUE(applied, '$.appliedId') AS INT64), invoice.id
  ) = 1
)

SELECT
  credit.tenant_id,
  credit.id AS credit_memo_id,
  NULLIF(credit.business_unit_id, 0) AS business_unit_id,
  NULLIF(credit.customer_id, 0) AS customer_id,
  COALESCE(NULLIF(credit.location_id, 0), first_paid.location_id) AS location_id,
  COALESCE(credit.balance, CAST(0 AS NUMERIC)) AS balance
FROM st_raw.credit_memos AS credit
LEFT JOIN first_paid
  ON first_paid.tenant_id = credit.tenant_id AND first_paid.credit_memo_id = credit.id
WHERE COALESCE(credit.active, TRUE)
