/* Closed opportunities over all opportunities, one per job that is not free of charge. */
/* table: st_kpi.contributions */
/* incremental_by: job_id */
SELECT
  tenant_id,
  'denominator' AS part,
  on_date,
  business_unit_id,
  'jobs' AS source_entity,
  job_id AS source_id,
  job_id,
  CAST(1 AS DECIMAL(38, 9)) AS amount,
  CASE
    WHEN is_closed
    THEN 'closed opportunity'
    ELSE 'open opportunity, job completed'
  END AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_staging.opportunities
WHERE
  NOT is_no_charge
UNION ALL
SELECT
  tenant_id,
  'numerator' AS part,
  on_date,
  business_unit_id,
  'jobs' AS source_entity,
  job_id AS source_id,
  job_id,
  CAST(1 AS DECIMAL(38, 9)) AS amount,
  'closed opportunity' AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_staging.opportunities
WHERE
  is_closed AND NOT is_no_charge
