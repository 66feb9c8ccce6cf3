-- Appointments that count and have a start, one row each.
-- table: st_staging.appointments
SELECT
  tenant_id,
  id AS appointment_id,
  job_id,
  COALESCE(status, '') = 'Canceled' AS is_canceled,
  start AS starts_at,
  DATE(start, @timezone) AS start_on_local
FROM st_raw.appointments
WHERE COALESCE(active, TRUE)
  AND start IS NOT NULL
