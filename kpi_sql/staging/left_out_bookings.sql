-- Invoices of work still ahead that Future Bookings leaves out, one row each, with the rule that does.
-- inline: st_staging.left_out_bookings
-- Ahead is what starts from this week's Monday on, and what is open and has no appointment yet.
WITH ahead AS (
  SELECT
    everything.tenant_id,
    everything.id AS invoice_id,
    job.job_id,
    job.business_unit_id,
    everything.sub_total AS amount,
    CASE
      WHEN NOT COALESCE(everything.active, TRUE) THEN 'inactive'
      WHEN job.family = 'none' THEN 'its job is of a type that does not count'
      WHEN job.business_unit_id IS NULL THEN 'without a business unit'
      WHEN unit.role IS NULL THEN 'without a mapping of its unit'
      WHEN unit.role = 'NONE' THEN 'its job is of a unit that does not count'
      WHEN unit.role = 'SALES' THEN 'its job is of a SALES unit'
      WHEN COALESCE(job.job_status, '') = 'Canceled' THEN 'its job is canceled'
      WHEN job.family IN UNNEST(@future_bookings_excludes) THEN 'its job family is in future_bookings_excludes'
      WHEN job.first_appointment_on_local IS NULL THEN 'without an appointment'
      WHEN job.first_appointment_on_local > DATE_ADD(@as_of, INTERVAL 1 YEAR) THEN 'its job starts more than a year ahead'
    END AS rule
  FROM st_raw.invoices AS everything
  LEFT JOIN st_staging.invoices AS invoice
    ON invoice.tenant_id = everything.tenant_id AND invoice.invoice_id = everything.id
  JOIN st_dim.dim_jobs AS job
    ON job.tenant_id = everything.tenant_id
    AND job.job_id = COALESCE(invoice.job_id, everything.job_id)
  JOIN st_ref.dim_weeks AS week -- no tenant: the calendar is everyone's
    ON @as_of BETWEEN week.week_start AND week.week_end
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = job.tenant_id
    AND unit.business_unit_id = job.business_unit_id
    AND @as_of BETWEEN unit.valid_from AND unit.valid_to
  WHERE everything.sub_total <> 0
    AND (
      job.first_appointment_on_local >= week.week_start
      OR (job.first_appointment_on_local IS NULL AND COALESCE(job.job_status, '') NOT IN ('Completed', 'Canceled'))
    )
)

SELECT tenant_id, invoice_id, job_id, business_unit_id, amount, rule
FROM ahead
WHERE rule IS NOT NULL
