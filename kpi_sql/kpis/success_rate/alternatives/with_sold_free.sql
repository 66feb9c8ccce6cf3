-- Opportunities, and visits free of charge that were sold all the same: those count in Total Booked too.
-- alternative: sum
SELECT
  tenant_id,
  'denominator' AS part,
  on_date,
  business_unit_id,
  'jobs' AS source_entity,
  job_id AS source_id,
  job_id,
  CAST(1 AS NUMERIC) AS amount,
  IF(is_closed, 'closed opportunity', 'open opportunity, job completed') AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.opportunities
WHERE is_closed
  OR NOT is_no_charge
UNION ALL
SELECT
  tenant_id,
  'numerator' AS part,
  on_date,
  business_unit_id,
  'jobs' AS source_entity,
  job_id AS source_id,
  job_id,
  CAST(1 AS NUMERIC) AS amount,
  'closed opportunity' AS reason,
  CAST(NULL AS STRING) AS component
FROM st_staging.opportunities
WHERE is_closed
