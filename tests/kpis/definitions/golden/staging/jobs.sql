/* Jobs that count, one row each, with the tenant's local days. */
/* table: st_staging.jobs */
SELECT
  tenant_id,
  id AS job_id,
  job_number,
  customer_id,
  location_id,
  business_unit_id,
  job_type_id,
  job_status,
  no_charge,
  NULLIF(first_appointment_id, 0) AS first_appointment_id,
  CAST(created_on AT TIME ZONE $timezone AS DATE) AS created_on_local,
  CAST(completed_on AT TIME ZONE $timezone AS DATE) AS completed_on_local
FROM st_raw.jobs
WHERE
  COALESCE(active, TRUE)
