/* Credit memos that count, one row each. Where one names no location, it is that of the first invoice it paid. */
/* inline: st_staging.credit_memos */
WITH first_paid AS (
  SELECT
    credit.tenant_id,
    credit.id AS credit_memo_id,
    invoice.location_id
  FROM st_raw.credit_memos AS credit
  CROSS JOIN UNNEST(CASE
    WHEN JSON_TYPE(credit.applied_to) = 'ARRAY'
    THEN CAST(credit.applied_to -> '$' AS JSON[])
  END) AS _t0(applied)
  JOIN st_raw.invoices AS invoice
    ON invoice.tenant_id = credit.tenant_id
    AND invoice.id = TRY_CAST(TRY_CAST(REGEXP_EXTRACT(
      JSON_VALUE(applied, '$.appliedTo') ->> '$',
      '^[\s\v]*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)[\s\v]*$',
      1
    ) AS INT128) * CASE
      WHEN REGEXP_MATCHES((
        JSON_VALUE(applied, '$.appliedTo') ->> '$'
      ), '^[\s\v]*-')
      THEN -1
      ELSE 1
    END AS BIGINT)
  WHERE
    NOT NULLIF(invoice.location_id, 0) IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY credit.tenant_id, credit.id
      ORDER BY TRY_CAST(TRY_CAST(REGEXP_EXTRACT(
        JSON_VALUE(applied, '$.appliedId') ->> '$',
        '^[\s\v]*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)[\s\v]*$',
        1
      ) AS INT128) * CASE
        WHEN REGEXP_MATCHES((
          JSON_VALUE(applied, '$.appliedId') ->> '$'
        ), '^[\s\v]*-')
        THEN -1
        ELSE 1
      END AS BIGINT) NULLS FIRST, invoice.id NULLS FIRST
    ) = 1
)
SELECT
  credit.tenant_id,
  credit.id AS credit_memo_id,
  NULLIF(credit.business_unit_id, 0) AS business_unit_id,
  NULLIF(credit.customer_id, 0) AS customer_id,
  COALESCE(NULLIF(credit.location_id, 0), first_paid.location_id) AS location_id,
  COALESCE(credit.balance, CAST(0 AS DECIMAL(38, 9))) AS balance
FROM st_raw.credit_memos AS credit
LEFT JOIN first_paid
  ON first_paid.tenant_id = credit.tenant_id AND first_paid.credit_memo_id = credit.id
WHERE
  COALESCE(credit.active, TRUE)
