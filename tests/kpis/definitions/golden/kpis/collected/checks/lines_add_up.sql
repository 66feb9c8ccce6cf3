/* What a payment was applied to and what is left of it is its total. */
/* check: warn lines_add_up */
/* way_on: Compare the payment in ServiceTitan with its lines: a total that is right there and not here comes with `st-kpi repair --entity payments`. */
/* accepted_by: payment_id */
WITH applied AS (
  SELECT
    tenant_id,
    payment_id,
    SUM(applied_amount) AS amount
  FROM st_staging.payment_lines
  GROUP BY
    tenant_id,
    payment_id
)
SELECT
  payment.tenant_id,
  payment.id AS payment_id,
  payment.total,
  COALESCE(applied.amount, CAST(0 AS DECIMAL(38, 9))) AS applied,
  payment.unapplied_amount AS unapplied
FROM st_raw.payments AS payment
LEFT JOIN applied
  ON applied.tenant_id = payment.tenant_id AND applied.payment_id = payment.id
WHERE
  COALESCE(payment.active, TRUE)
  AND payment.total <> COALESCE(applied.amount, CAST(0 AS DECIMAL(38, 9))) + COALESCE(payment.unapplied_amount, CAST(0 AS DECIMAL(38, 9)))
ORDER BY
  ABS(payment.total) DESC,
  payment_id NULLS FIRST
