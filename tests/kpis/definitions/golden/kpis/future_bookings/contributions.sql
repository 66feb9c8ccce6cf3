/* Invoices of PRODUCTION jobs that start between this week's Monday and a year after the as-of day, once per job. */
/* table: st_kpi.contributions */
SELECT
  job.tenant_id,
  'value' AS part,
  $as_of AS on_date,
  job.business_unit_id,
  'invoices' AS source_entity,
  invoice.invoice_id AS source_id,
  job.job_id,
  invoice.sub_total AS amount,
  'job starts ' || CAST(job.first_appointment_on_local AS TEXT) AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_dim.dim_jobs AS job
JOIN st_ref.dim_bu_rollup AS unit
  ON unit.tenant_id = job.tenant_id
  AND unit.business_unit_id = job.business_unit_id
  AND $as_of BETWEEN unit.valid_from AND unit.valid_to
JOIN st_ref.dim_weeks AS week /* no tenant: the calendar is everyone's */
  ON $as_of BETWEEN week.week_start AND week.week_end
JOIN st_staging.invoices AS invoice
  ON invoice.tenant_id = job.tenant_id AND invoice.job_id = job.job_id
WHERE
  unit.role IN ('PRODUCTION', 'BOTH')
  AND job.family <> 'none'
  AND COALESCE(job.job_status, '') <> 'Canceled'
  AND job.first_appointment_on_local BETWEEN week.week_start AND CAST($as_of + INTERVAL '1' YEAR AS DATE)
  AND NOT CASE
    WHEN $future_bookings_excludes IS NULL OR ARRAY_LENGTH($future_bookings_excludes) = 0
    THEN FALSE
    WHEN ARRAY_CONTAINS($future_bookings_excludes, job.family)
    THEN TRUE
    WHEN job.family IS NULL
    OR ARRAY_LENGTH($future_bookings_excludes) <> LIST_COUNT($future_bookings_excludes)
    THEN NULL
    ELSE FALSE
  END
