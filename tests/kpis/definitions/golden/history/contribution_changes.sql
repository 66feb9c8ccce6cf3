/* The contributions that the build removed (copies -1) and added (copies 1), each with its cause. */
/* history: st_kpi.contribution_changes append */
/* The first rows of a snapshot's week stand in the contributions already, under their day. */
SELECT
  $build AS build,
  -1 AS copies,
  cause,
  tenant_id,
  kpi,
  part,
  old_on_date AS on_date,
  old_business_unit_id AS business_unit_id,
  source_entity,
  source_id,
  old_job_id AS job_id,
  old_amount AS amount,
  old_reason AS reason,
  old_component AS component
FROM st_staging.classified_changes
WHERE
  is_old AND cause <> 'measured'
UNION ALL
SELECT
  $build AS build,
  1 AS copies,
  cause,
  tenant_id,
  kpi,
  part,
  new_on_date AS on_date,
  new_business_unit_id AS business_unit_id,
  source_entity,
  source_id,
  new_job_id AS job_id,
  new_amount AS amount,
  new_reason AS reason,
  new_component AS component
FROM st_staging.classified_changes
WHERE
  is_new AND cause <> 'measured'
