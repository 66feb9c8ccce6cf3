/* Every payment that counts has a date: one without stands in no week. */
/* check: warn */
SELECT
  tenant_id,
  payment_id,
  unapplied_amount
FROM st_staging.payments
WHERE
  paid_on_local IS NULL
ORDER BY
  tenant_id NULLS FIRST,
  payment_id NULLS FIRST
