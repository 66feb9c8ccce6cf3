/* The families of job types that the build before used. */
/* history: st_staging.previous_job_types replace */
SELECT
  tenant_id,
  job_type_id,
  family
FROM st_ref.dim_job_types
