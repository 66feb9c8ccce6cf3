-- A line of a payment is counted once.
-- check: fail counted_once
SELECT tenant_id, source_entity, source_id, reason, COUNT(amount) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'collected'
GROUP BY tenant_id, source_entity, source_id, reason
HAVING COUNT(amount) <> 1
ORDER BY times DESC, source_id;

-- What a payment was applied to and what is left of it is its total.
-- check: warn lines_add_up
WITH applied AS (
  SELECT tenant_id, payment_id, SUM(applied_amount) AS amount
  FROM st_staging.payment_lines
  GROUP BY tenant_id, payment_id
)

SELECT
  payment.tenant_id,
  payment.id AS payment_id,
  payment.total,
  COALESCE(applied.amount, CAST(0 AS NUMERIC)) AS applied,
  payment.unapplied_amount AS unapplied
FROM st_raw.payments AS payment
LEFT JOIN applied
  ON applied.tenant_id = payment.tenant_id AND applied.payment_id = payment.id
WHERE COALESCE(payment.active, TRUE)
  AND payment.total
    <> COALESCE(applied.amount, CAST(0 AS NUMERIC)) + COALESCE(payment.unapplied_amount, CAST(0 AS NUMERIC))
ORDER BY ABS(payment.total) DESC, payment_id
