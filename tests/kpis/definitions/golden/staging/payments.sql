/* Payments that count, one row each, with the local day they were made. */
/* inline: st_staging.payments */
SELECT
  tenant_id,
  id AS payment_id,
  NULLIF(business_unit_id, 0) AS business_unit_id,
  NULLIF(customer_id, 0) AS customer_id,
  COALESCE(unapplied_amount, CAST(0 AS DECIMAL(38, 9))) AS unapplied_amount,
  CASE
    WHEN date < CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
    THEN NULL
    WHEN date = DATE_TRUNC('DAY', date)
    THEN CAST(date AS DATE)
    ELSE CAST(date AT TIME ZONE $timezone AS DATE)
  END AS paid_on_local /* Midnight UTC to the second is how the source writes a bare calendar date: shifting it would move the day. */
FROM st_raw.payments
WHERE
  COALESCE(active, TRUE)
