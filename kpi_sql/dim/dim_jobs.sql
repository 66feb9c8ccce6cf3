-- Jobs that count, one row each: names, family, first and current appointment, and the day the work is dated by.
-- table: st_dim.dim_jobs
WITH dated AS (
  SELECT
    job.tenant_id,
    job.job_id,
    job.job_number,
    job.customer_id,
    job.location_id,
    job.business_unit_id,
    job.job_type_id,
    job.job_status,
    job.no_charge,
    job.created_on_local,
    job.completed_on_local,
    first_one.appointment_id AS first_appointment_id,
    first_one.start_on_local AS first_appointment_on_local,
    latest.appointment_id AS current_appointment_id,
    latest.start_on_local AS current_appointment_on_local,
    COALESCE(first_one.start_on_local, job.completed_on_local, job.created_on_local) AS work_on_local,
    CASE
      WHEN first_one.start_on_local IS NOT NULL THEN 'first appointment'
      WHEN job.completed_on_local IS NOT NULL THEN 'no appointment, dated by completion'
      ELSE 'no appointment, dated by creation'
    END AS work_on_basis
  FROM st_staging.jobs AS job
  LEFT JOIN st_staging.first_appointments AS first_one
    ON first_one.tenant_id = job.tenant_id AND first_one.job_id = job.job_id
  LEFT JOIN st_staging.current_appointments AS latest
    ON latest.tenant_id = job.tenant_id AND latest.job_id = job.job_id
)

SELECT
  dated.tenant_id,
  dated.job_id,
  dated.job_number,
  dated.customer_id,
  COALESCE(customer.is_test, FALSE) AS is_test_customer,
  dated.location_id,
  dated.business_unit_id,
  unit.business_unit,
  mapped.`rollup`,
  mapped.role,
  dated.job_type_id,
  type.job_type,
  COALESCE(type.family, 'other') AS family,
  type.sold_threshold,
  -- The job's own word where it has one, else its type's.
  COALESCE(dated.no_charge, type.is_no_charge, FALSE) AS is_no_charge,
  dated.job_status,
  dated.created_on_local,
  dated.completed_on_local,
  dated.first_appointment_id,
  dated.first_appointment_on_local,
  dated.current_appointment_id,
  dated.current_appointment_on_local,
  dated.work_on_local,
  dated.work_on_basis
FROM dated
LEFT JOIN st_ref.dim_job_types AS type
  ON type.tenant_id = dated.tenant_id AND type.job_type_id = dated.job_type_id
LEFT JOIN st_ref.dim_business_units AS unit
  ON unit.tenant_id = dated.tenant_id AND unit.business_unit_id = dated.business_unit_id
LEFT JOIN st_ref.dim_bu_rollup AS mapped
  ON mapped.tenant_id = dated.tenant_id
  AND mapped.business_unit_id = dated.business_unit_id
  AND dated.work_on_local BETWEEN mapped.valid_from AND mapped.valid_to
LEFT JOIN st_staging.customers AS customer
  ON customer.tenant_id = dated.tenant_id AND customer.customer_id = dated.customer_id
