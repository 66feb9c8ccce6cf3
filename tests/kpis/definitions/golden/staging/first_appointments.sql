/* The first appointment of each job that has one. */
/* inline: st_staging.first_appointments */
WITH named AS (
  /* The appointment the job itself names is the first one whatever its status. */
  SELECT
    job.tenant_id,
    job.job_id,
    appointment.appointment_id,
    appointment.start_on_local
  FROM st_staging.jobs AS job
  JOIN st_staging.appointments AS appointment
    ON appointment.tenant_id = job.tenant_id
    AND appointment.appointment_id = job.first_appointment_id
), earliest AS (
  SELECT
    tenant_id,
    job_id,
    appointment_id,
    start_on_local
  FROM st_staging.appointments
  WHERE
    NOT is_canceled
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY tenant_id, job_id
      ORDER BY starts_at NULLS FIRST, appointment_id NULLS FIRST
    ) = 1
)
SELECT
  job.tenant_id,
  job.job_id,
  COALESCE(named.appointment_id, earliest.appointment_id) AS appointment_id,
  COALESCE(named.start_on_local, earliest.start_on_local) AS start_on_local
FROM st_staging.jobs AS job
LEFT JOIN named
  ON named.tenant_id = job.tenant_id AND named.job_id = job.job_id
LEFT JOIN earliest
  ON earliest.tenant_id = job.tenant_id AND earliest.job_id = job.job_id
WHERE
  NOT COALESCE(named.appointment_id, earliest.appointment_id) IS NULL
