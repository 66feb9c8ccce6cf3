-- Closed opportunities over all opportunities, one per job that is not free of charge.
-- table: st_kpi.contributions
-- incremental_by: job_id
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
WHERE NOT is_no_charge
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
  AND NOT is_no_charge
