/* All sold subtotals of closed opportunities over their number, on the day each opportunity closed. */
/* table: st_kpi.contributions */
/* incremental_by: job_id */
SELECT
  opportunity.tenant_id,
  'numerator' AS part,
  opportunity.on_date,
  opportunity.business_unit_id,
  'estimates' AS source_entity,
  estimate.estimate_id AS source_id,
  opportunity.job_id,
  estimate.subtotal AS amount,
  'estimate sold on a closed opportunity' AS reason,
  CAST(NULL AS TEXT) AS component
FROM st_staging.opportunities AS opportunity
JOIN st_staging.sold_estimates AS estimate
  ON estimate.tenant_id = opportunity.tenant_id
  AND estimate.job_id = opportunity.job_id
WHERE
  opportunity.is_closed AND NOT opportunity.is_no_charge
UNION ALL
SELECT
  tenant_id,
  'denominator' AS part,
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
