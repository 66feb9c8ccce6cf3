-- Every balance of the source, one row each, with the rule that leaves it out of Outstanding A/R, or none.
-- table: st_staging.receivables
WITH unit AS (
  SELECT tenant_id, business_unit_id, role
  FROM st_ref.dim_bu_rollup
  WHERE @as_of BETWEEN valid_from AND valid_to
),

owed AS (
  SELECT
    everything.tenant_id,
    NULLIF(everything.location_id, 0) AS location_id,
    NULLIF(everything.business_unit_id, 0) AS business_unit_id,
    'invoices' AS source_entity,
    everything.id AS source_id,
    COALESCE(invoice.job_id, NULLIF(everything.job_id, 0)) AS job_id,
    everything.balance AS amount,
    'open invoice' AS reason,
    CASE
      WHEN invoice.invoice_id IS NULL THEN IF(COALESCE(everything.active, TRUE), 'its job is inactive', 'inactive')
      -- The list of jobs leaves deleted ones out, so a job that is named and not there is deleted, with its invoices.
      WHEN invoice.job_id IS NOT NULL AND job.job_id IS NULL THEN 'without a known job'
      WHEN job.family = 'none' THEN 'its job is of a type that does not count'
      WHEN invoice.business_unit_id IS NULL THEN 'without a business unit'
      WHEN unit.role IS NULL THEN 'without a mapping of its unit'
      WHEN unit.role = 'NONE' THEN 'of a unit that does not count'
      WHEN unit.role = 'SALES' THEN 'of a SALES unit'
      WHEN invoice.location_id IS NULL THEN 'without a location'
      WHEN @ar_skip_unstarted
        AND invoice.job_id IS NOT NULL
        AND NOT COALESCE(job.first_appointment_on_local <= @as_of, COALESCE(job.job_status, '') = 'Completed')
        THEN 'its job has not started'
    END AS rule
  FROM st_raw.invoices AS everything
  LEFT JOIN st_staging.invoices AS invoice
    ON invoice.tenant_id = everything.tenant_id AND invoice.invoice_id = everything.id
  LEFT JOIN unit
    ON unit.tenant_id = invoice.tenant_id AND unit.business_unit_id = invoice.business_unit_id
  LEFT JOIN st_dim.dim_jobs AS job
    ON job.tenant_id = invoice.tenant_id AND job.job_id = invoice.job_id
  WHERE everything.balance <> 0
),

-- The unit that takes what a location has paid or been credited without naming one.
location_unit AS (
  SELECT tenant_id, location_id, business_unit_id
  FROM owed
  WHERE rule IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, location_id ORDER BY source_id) = 1
),

first_paid AS (
  SELECT tenant_id, payment_id, location_id
  FROM st_staging.payment_lines
  WHERE location_id IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, payment_id ORDER BY application_id, line) = 1
),

deducted AS (
  SELECT
    payment.tenant_id,
    COALESCE(first_paid.location_id, home.location_id) AS location_id,
    NULLIF(payment.business_unit_id, 0) AS business_unit_id,
    'payments' AS source_entity,
    payment.id AS source_id,
    -payment.unapplied_amount AS amount,
    'payment not applied yet' AS reason,
    COALESCE(payment.active, TRUE) AS is_active
  FROM st_raw.payments AS payment
  LEFT JOIN first_paid
    ON first_paid.tenant_id = payment.tenant_id AND first_paid.payment_id = payment.id
  LEFT JOIN st_staging.customer_locations AS home
    ON home.tenant_id = payment.tenant_id AND home.customer_id = payment.customer_id
  WHERE payment.unapplied_amount <> 0
  UNION ALL
  SELECT
    everything.tenant_id,
    COALESCE(credit.location_id, home.location_id) AS location_id,
    NULLIF(everything.business_unit_id, 0) AS business_unit_id,
    'credit_memos' AS source_entity,
    everything.id AS source_id,
    -everything.balance AS amount,
    'open credit' AS reason,
    credit.credit_memo_id IS NOT NULL AS is_active
  FROM st_raw.credit_memos AS everything
  LEFT JOIN st_staging.credit_memos AS credit
    ON credit.tenant_id = everything.tenant_id AND credit.credit_memo_id = everything.id
  LEFT JOIN st_staging.customer_locations AS home
    ON home.tenant_id = everything.tenant_id AND home.customer_id = everything.customer_id
  WHERE everything.balance <> 0
),

account AS (
  SELECT tenant_id, location_id, business_unit_id, source_entity, source_id, job_id, amount, reason, rule
  FROM owed
  UNION ALL
  SELECT
    deducted.tenant_id,
    deducted.location_id,
    IF(
      unit.role IS NULL, COALESCE(location_unit.business_unit_id, deducted.business_unit_id), unit.business_unit_id
    ) AS business_unit_id,
    deducted.source_entity,
    deducted.source_id,
    CAST(NULL AS INT64) AS job_id,
    deducted.amount,
    deducted.reason,
    CASE
      WHEN NOT deducted.is_active THEN 'inactive'
      WHEN unit.role = 'NONE' THEN 'of a unit that does not count'
      WHEN unit.role = 'SALES' THEN 'of a SALES unit'
      WHEN deducted.location_id IS NULL THEN 'without a location'
      WHEN location_unit.location_id IS NULL THEN 'nothing is owed at its location'
    END AS rule
  FROM deducted
  LEFT JOIN location_unit
    ON location_unit.tenant_id = deducted.tenant_id
    AND location_unit.location_id = deducted.location_id
  LEFT JOIN unit
    ON unit.tenant_id = deducted.tenant_id AND unit.business_unit_id = deducted.business_unit_id
),

counted AS (
  SELECT tenant_id, location_id
  FROM account
  WHERE rule IS NULL
  GROUP BY tenant_id, location_id
  HAVING SUM(amount) >= @ar_minimum
)

SELECT
  account.tenant_id,
  account.location_id,
  account.business_unit_id,
  account.source_entity,
  account.source_id,
  account.job_id,
  account.amount,
  account.reason,
  IF(
    account.rule IS NULL AND counted.location_id IS NULL, 'its location owes less than ar_minimum', account.rule
  ) AS rule
FROM account
LEFT JOIN counted
  ON counted.tenant_id = account.tenant_id AND counted.location_id = account.location_id
