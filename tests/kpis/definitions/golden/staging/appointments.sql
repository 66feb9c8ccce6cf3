/* Appointments that count and have a start, one row each. */
/* inline: st_staging.appointments */
SELECT
  tenant_id,
  id AS appointment_id,
  job_id,
  COALESCE(status, '') = 'Canceled' AS is_canceled,
  start AS starts_at,
  CAST(CASE
    WHEN start >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
    THEN start
    ELSE NULL
  END AT TIME ZONE $timezone AS DATE) AS start_on_local
FROM st_raw.appointments
WHERE
  COALESCE(active, TRUE)
  AND /* An empty time is written as the year 1. */ start >= CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
