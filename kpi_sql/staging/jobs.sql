-- Jobs that count, one row each, with the tenant's local days.
-- inline: st_staging.jobs
-- Where a record names nothing, the source may write the id 0, and for a time the year 1.
SELECT
  tenant_id,
  id AS job_id,
  job_number,
  NULLIF(project_id, 0) AS project_id,
  customer_id,
  location_id,
  NULLIF(business_unit_id, 0) AS business_unit_id,
  NULLIF(job_type_id, 0) AS job_type_id,
  job_status,
  no_charge,
  NULLIF(first_appointment_id, 0) AS first_appointment_id,
  DATE(IF(created_on >= TIMESTAMP '1900-01-01 00:00:00+00', created_on, NULL), @timezone) AS created_on_local,
  DATE(IF(completed_on >= TIMESTAMP '1900-01-01 00:00:00+00', completed_on, NULL), @timezone) AS completed_on_local
FROM st_raw.jobs
WHERE COALESCE(active, TRUE)
