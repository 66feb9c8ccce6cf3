/* No date of the source is empty, written as the year 1: such a date is read as none, and what it dates stands in no week. */
/* check: warn */
/* way_on: Give the records their date in ServiceTitan; the field and the first id are named. */
/* accepted_by: field */
WITH dated AS (
  SELECT
    tenant_id,
    'jobs.created_on' AS field,
    id AS source_id,
    created_on AS instant
  FROM st_raw.jobs
  UNION ALL
  SELECT
    tenant_id,
    'jobs.completed_on' AS field,
    id AS source_id,
    completed_on AS instant
  FROM st_raw.jobs
  UNION ALL
  SELECT
    tenant_id,
    'appointments.start' AS field,
    id AS source_id,
    start AS instant
  FROM st_raw.appointments
  UNION ALL
  SELECT
    tenant_id,
    'estimates.sold_on' AS field,
    id AS source_id,
    sold_on AS instant
  FROM st_raw.estimates
  UNION ALL
  SELECT
    tenant_id,
    'payments.date' AS field,
    id AS source_id,
    date AS instant
  FROM st_raw.payments
)
SELECT
  tenant_id,
  field,
  COUNT(source_id) AS empty_dates,
  MIN(source_id) AS first_id
FROM dated
WHERE
  instant < CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ)
GROUP BY
  tenant_id,
  field
ORDER BY
  tenant_id NULLS FIRST,
  field NULLS FIRST
