/* Appointments that count and have a start, one row each. */
/* table: st_staging.appointments */
SELECT
  tenant_id,
  id AS appointment_id,
  job_id,
  COALESCE(status, '') = 'Canceled' AS is_canceled,
  start AS starts_at,
  CAST(start AT TIME ZONE $timezone AS DATE) AS start_on_local
FROM st_raw.appointments
WHERE
  COALESCE(active, TRUE) AND NOT start IS NULL
