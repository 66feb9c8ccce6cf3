-- Appointments that count and have a start, one row each.
-- inline: st_staging.appointments
SELECT
  tenant_id,
  id AS appointment_id,
  job_id,
  COALESCE(status, '') = 'Canceled' AS is_canceled,
  start AS starts_at,
  DATE(IF(start >= TIMESTAMP '1900-01-01 00:00:00+00', start, NULL), @timezone) AS start_on_local
FROM st_raw.appointments
WHERE COALESCE(active, TRUE)
  -- An empty time is written as the year 1.
  AND start >= TIMESTAMP '1900-01-01 00:00:00+00'
