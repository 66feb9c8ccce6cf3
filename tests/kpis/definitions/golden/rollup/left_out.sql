/* Money of the source that no contribution has, one row for each record and KPI, with the rule that leaves it out. */
/* table: st_kpi.left_out */
/* Days are those by which it would count; without one, that of the record itself. Amounts are as they would count. */
WITH revenue_of AS (
  SELECT
    'produced' AS kpi,
    'value' AS part
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'numerator' AS part
  UNION ALL
  SELECT
    'gpm' AS kpi,
    'denominator' AS part
  UNION ALL
  SELECT
    'warranty_pct' AS kpi,
    'denominator' AS part
), costs AS (
  SELECT
    cost.tenant_id,
    cost.source_entity,
    cost.source_id,
    cost.job_id,
    cost.part AS component,
    COALESCE(produced.on_date, job.on_date, project.on_date, cost.dated_on_local) AS on_date,
    COALESCE(produced.business_unit_id, job.business_unit_id, project.business_unit_id) AS business_unit_id,
    COALESCE(produced.family, job.family) AS family,
    cost.amount,
    CASE
      WHEN NOT cost.rule IS NULL
      THEN cost.rule
      WHEN job.job_id IS NULL
      THEN 'without a known job'
      ELSE job.rule
    END AS rule
  FROM st_staging.costs AS cost
  LEFT JOIN st_staging.produced_jobs AS produced
    ON produced.tenant_id = cost.tenant_id AND produced.job_id = cost.job_id
  LEFT JOIN st_staging.unproduced_jobs AS job
    ON job.tenant_id = cost.tenant_id AND job.job_id = cost.job_id
  LEFT JOIN st_staging.project_jobs AS project
    ON project.tenant_id = cost.tenant_id
    AND project.project_id = cost.project_id
    AND cost.job_id IS NULL
  WHERE
    cost.amount <> 0 AND (
      NOT cost.rule IS NULL OR produced.job_id IS NULL
    )
), money AS (
  SELECT
    tenant_id,
    kpi,
    CASE WHEN kpi = 'total_booked' THEN 'value' ELSE 'numerator' END AS part,
    on_date,
    business_unit_id,
    'estimates' AS source_entity,
    estimate_id AS source_id,
    job_id,
    amount,
    rule,
    CAST(NULL AS TEXT) AS component
  FROM st_staging.left_out_estimates
  UNION ALL
  SELECT
    invoice.tenant_id,
    revenue_of.kpi,
    revenue_of.part,
    invoice.on_date,
    invoice.business_unit_id,
    'invoices' AS source_entity,
    invoice.invoice_id AS source_id,
    invoice.job_id,
    invoice.amount,
    invoice.rule,
    CAST(NULL AS TEXT) AS component
  FROM st_staging.left_out_invoices AS invoice
  CROSS JOIN revenue_of /* cross join: the four sums that revenue belongs to */
  UNION ALL
  SELECT
    tenant_id,
    'gpm' AS kpi,
    'numerator' AS part,
    on_date,
    business_unit_id,
    source_entity,
    source_id,
    job_id,
    -amount AS amount,
    rule,
    component
  FROM costs
  UNION ALL
  SELECT
    tenant_id,
    'warranty_pct' AS kpi,
    'numerator' AS part,
    on_date,
    business_unit_id,
    source_entity,
    source_id,
    job_id,
    amount,
    rule,
    component
  FROM costs
  WHERE
    family = 'warranty'
  UNION ALL
  SELECT
    tenant_id,
    'collected' AS kpi,
    'value' AS part,
    on_date,
    business_unit_id,
    source_entity,
    source_id,
    job_id,
    amount,
    rule,
    CAST(NULL AS TEXT) AS component
  FROM st_staging.left_out_payments
)
SELECT
  tenant_id,
  kpi,
  part,
  on_date,
  business_unit_id,
  source_entity,
  source_id,
  job_id,
  amount,
  rule,
  component
FROM money
WHERE
  NOT rule IS NULL
