/* The way of each changed contribution from what it was to what it is: amounts taken from one cell and put into another. */
/* history: st_staging.change_steps replace */
/* Steps stand in the cells that the mapping of the build before gave them; all rows of units that were remapped, */
/* changed or not, then go from those cells to their new ones. A unit that does not count has no cell. */
WITH pairs AS (
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    old_on_date,
    old_business_unit_id,
    old_amount,
    new_on_date,
    new_business_unit_id,
    new_amount,
    CASE
      WHEN cause IN ('definition changed', 'measured')
      THEN cause
      ELSE 'business unit moved'
    END AS unit_cause,
    CASE WHEN cause IN ('definition changed', 'measured') THEN cause ELSE 're-dated' END AS day_cause,
    CASE
      WHEN cause IN ('definition changed', 'measured', 'arrived late')
      THEN cause
      ELSE 'amount edited'
    END AS amount_cause
  FROM st_staging.classified_changes
  WHERE
    is_old AND is_new
), steps AS (
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    cause,
    old_on_date AS on_date,
    old_business_unit_id AS business_unit_id,
    -old_amount AS amount
  FROM st_staging.classified_changes
  WHERE
    is_old AND NOT is_new
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    cause,
    new_on_date AS on_date,
    new_business_unit_id AS business_unit_id,
    new_amount AS amount
  FROM st_staging.classified_changes
  WHERE
    is_new AND NOT is_old
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    unit_cause AS cause,
    old_on_date AS on_date,
    old_business_unit_id AS business_unit_id,
    -old_amount AS amount
  FROM pairs
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    unit_cause AS cause,
    old_on_date AS on_date,
    new_business_unit_id AS business_unit_id,
    old_amount AS amount
  FROM pairs
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    day_cause AS cause,
    old_on_date AS on_date,
    new_business_unit_id AS business_unit_id,
    -old_amount AS amount
  FROM pairs
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    day_cause AS cause,
    new_on_date AS on_date,
    new_business_unit_id AS business_unit_id,
    old_amount AS amount
  FROM pairs
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    amount_cause AS cause,
    new_on_date AS on_date,
    new_business_unit_id AS business_unit_id,
    -old_amount AS amount
  FROM pairs
  UNION ALL
  SELECT
    tenant_id,
    kpi,
    part,
    source_id,
    amount_cause AS cause,
    new_on_date AS on_date,
    new_business_unit_id AS business_unit_id,
    new_amount AS amount
  FROM pairs
)
SELECT
  step.tenant_id,
  step.kpi,
  step.part,
  step.source_id,
  step.cause,
  step.on_date,
  step.amount,
  COALESCE(unit."rollup", '(unassigned)') AS "rollup",
  unit.role
FROM steps AS step
LEFT JOIN st_staging.previous_bu_rollup AS unit
  ON unit.tenant_id = step.tenant_id
  AND unit.business_unit_id = step.business_unit_id
  AND step.on_date BETWEEN unit.valid_from AND unit.valid_to
WHERE
  NOT step.on_date IS NULL AND COALESCE(unit.role, '') <> 'NONE'
UNION ALL
SELECT
  tenant_id,
  kpi,
  part,
  source_id,
  cause,
  on_date,
  -amount AS amount,
  COALESCE(old_rollup, '(unassigned)') AS "rollup",
  old_role AS role
FROM st_staging.moved_rows
WHERE
  NOT on_date IS NULL AND COALESCE(old_role, '') <> 'NONE'
UNION ALL
SELECT
  tenant_id,
  kpi,
  part,
  source_id,
  cause,
  on_date,
  amount,
  COALESCE(new_rollup, '(unassigned)') AS "rollup",
  new_role AS role
FROM st_staging.moved_rows
WHERE
  NOT on_date IS NULL AND COALESCE(new_role, '') <> 'NONE'
