/* What PRODUCTION customers owe per location: open invoices less unapplied payments and credits, from a minimum on. */
/* table: st_kpi.contributions */
WITH unit AS (
  SELECT
    tenant_id,
    business_unit_id,
    role
  FROM st_ref.dim_bu_rollup
  WHERE
    $as_of BETWEEN valid_from AND valid_to
), owed AS (
  SELECT
    invoice.tenant_id,
    invoice.location_id,
    invoice.business_unit_id,
    'invoices' AS source_entity,
    invoice.invoice_id AS source_id,
    invoice.job_id,
    invoice.balance AS amount,
    'open invoice' AS reason
  FROM st_staging.invoices AS invoice
  JOIN unit
    ON unit.tenant_id = invoice.tenant_id
    AND unit.business_unit_id = invoice.business_unit_id
  LEFT JOIN st_dim.dim_jobs AS job
    ON job.tenant_id = invoice.tenant_id AND job.job_id = invoice.job_id
  WHERE
    unit.role IN ('PRODUCTION', 'BOTH')
    AND invoice.balance <> 0
    AND NOT invoice.location_id IS NULL
    AND /* The list of jobs leaves deleted ones out, so a job that is named and not there is deleted, with its invoices. */ (
      invoice.job_id IS NULL OR NOT job.job_id IS NULL
    )
    AND (
      NOT $ar_skip_unstarted
      OR invoice.job_id IS NULL
      OR job.first_appointment_on_local <= $as_of
      OR (
        job.first_appointment_on_local IS NULL
        AND COALESCE(job.job_status, '') = 'Completed'
      )
    )
), location_unit /* The unit that takes what a location has paid or been credited without naming one. */ AS (
  SELECT
    tenant_id,
    location_id,
    business_unit_id
  FROM owed
  WHERE
    NOT location_id IS NULL
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY tenant_id, location_id ORDER BY source_id NULLS FIRST) = 1
), first_paid AS (
  SELECT
    tenant_id,
    payment_id,
    location_id
  FROM st_staging.payment_lines
  WHERE
    NOT location_id IS NULL
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY tenant_id, payment_id
      ORDER BY application_id NULLS FIRST, line NULLS FIRST
    ) = 1
), deducted AS (
  SELECT
    payment.tenant_id,
    COALESCE(first_paid.location_id, home.location_id) AS location_id,
    payment.business_unit_id,
    'payments' AS source_entity,
    payment.payment_id AS source_id,
    -payment.unapplied_amount AS amount,
    'payment not applied yet' AS reason
  FROM st_staging.payments AS payment
  LEFT JOIN first_paid
    ON first_paid.tenant_id = payment.tenant_id
    AND first_paid.payment_id = payment.payment_id
  LEFT JOIN st_staging.customer_locations AS home
    ON home.tenant_id = payment.tenant_id AND home.customer_id = payment.customer_id
  WHERE
    payment.unapplied_amount <> 0
  UNION ALL
  SELECT
    credit.tenant_id,
    COALESCE(credit.location_id, home.location_id) AS location_id,
    credit.business_unit_id,
    'credit_memos' AS source_entity,
    credit.credit_memo_id AS source_id,
    -credit.balance AS amount,
    'open credit' AS reason
  FROM st_staging.credit_memos AS credit
  LEFT JOIN st_staging.customer_locations AS home
    ON home.tenant_id = credit.tenant_id AND home.customer_id = credit.customer_id
  WHERE
    credit.balance <> 0
), account AS (
  SELECT
    tenant_id,
    location_id,
    business_unit_id,
    source_entity,
    source_id,
    job_id,
    amount,
    reason
  FROM owed
  UNION ALL
  SELECT
    deducted.tenant_id,
    deducted.location_id,
    CASE
      WHEN unit.role IN ('PRODUCTION', 'BOTH')
      THEN unit.business_unit_id
      ELSE location_unit.business_unit_id
    END AS business_unit_id,
    deducted.source_entity,
    deducted.source_id,
    CAST(NULL AS BIGINT) AS job_id,
    deducted.amount,
    deducted.reason
  FROM deducted
  /* Where nothing is owed there is nothing to deduct from. */
  JOIN location_unit
    ON location_unit.tenant_id = deducted.tenant_id
    AND location_unit.location_id = deducted.location_id
  LEFT JOIN unit
    ON unit.tenant_id = deducted.tenant_id
    AND unit.business_unit_id = deducted.business_unit_id
  WHERE
    COALESCE(unit.role, '') <> 'SALES'
), counted AS (
  SELECT
    tenant_id,
    location_id
  FROM account
  GROUP BY
    tenant_id,
    location_id
  HAVING
    SUM(amount) >= $ar_minimum
)
SELECT
  account.tenant_id,
  'value' AS part,
  $as_of AS on_date,
  account.business_unit_id,
  account.source_entity,
  account.source_id,
  account.job_id,
  account.amount,
  account.reason || ', location ' || CAST(account.location_id AS TEXT) AS reason,
  CAST(NULL AS TEXT) AS component
FROM account
JOIN counted
  ON counted.tenant_id = account.tenant_id
  AND counted.location_id = account.location_id
