-- Payments that count, one row each, with the local day they were made.
-- inline: st_staging.payments
SELECT
  tenant_id,
  id AS payment_id,
  NULLIF(business_unit_id, 0) AS business_unit_id,
  NULLIF(customer_id, 0) AS customer_id,
  COALESCE(unapplied_amount, CAST(0 AS NUMERIC)) AS unapplied_amount,
  -- Midnight UTC to the second is how the source writes a bare calendar date: shifting it would move the day.
  CASE
    -- An empty time is written as the year 1.
    WHEN date < TIMESTAMP '1900-01-01 00:00:00+00' THEN NULL
    WHEN date = TIMESTAMP_TRUNC(date, DAY) THEN DATE(date)
    ELSE DATE(date, @timezone)
  END AS paid_on_local
FROM st_raw.payments
WHERE COALESCE(active, TRUE)
