-- A line of a payment is counted once.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, source_entity, source_id, reason, COUNT(amount) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'collected'
GROUP BY tenant_id, source_entity, source_id, reason
HAVING COUNT(amount) <> 1
ORDER BY times DESC, source_id;

-- What a payment was applied to and what is left of it is its total.
-- check: warn lines_add_up
-- way_on: Compare the payment in ServiceTitan with its lines: a total that is right there and not here comes with `st-kpi repair --entity payments`.
-- accepted_by: payment_id
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
