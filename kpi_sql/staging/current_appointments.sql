-- The appointment each job is booked for now: its latest start that is not canceled.
-- inline: st_staging.current_appointments
SELECT tenant_id, job_id, appointment_id, start_on_local
FROM st_staging.appointments
WHERE NOT is_canceled
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY tenant_id, job_id ORDER BY starts_at DESC, appointment_id DESC
) = 1
