-- Lines of payments, and what is left of payments, that $ Collected leaves out, one row each, with the rule that does.
-- inline: st_staging.left_out_payments
WITH money AS (
  SELECT
    line.tenant_id,
    'payment_applications' AS source_entity,
    line.id AS source_id,
    NULLIF(invoice.job_id, 0) AS job_id,
    NULLIF(invoice.business_unit_id, 0) AS business_unit_id,
    payment.paid_on_local,
    COALESCE(paid.date, paid.created_on) AS dated_at,
    line.applied_amount AS amount,
    CASE
      WHEN paid.id IS NULL THEN 'without a known payment'
      WHEN NOT COALESCE(line.active, TRUE) OR payment.payment_id IS NULL THEN 'inactive'
      WHEN type.family = 'none' THEN 'its job is of a type that does not count'
    END AS rule
  FROM st_raw.payment_applications AS line
  LEFT JOIN st_raw.payments AS paid
    ON paid.tenant_id = line.tenant_id AND paid.id = line.payment_id
  LEFT JOIN st_staging.payments AS payment
    ON payment.tenant_id = line.tenant_id AND payment.payment_id = line.payment_id
  LEFT JOIN st_raw.invoices AS invoice
    ON invoice.tenant_id = line.tenant_id AND invoice.id = line.applied_to
  LEFT JOIN st_raw.jobs AS job
    ON job.tenant_id = invoice.tenant_id AND job.id = invoice.job_id
  LEFT JOIN st_staging.job_type_mapping AS type
    ON type.tenant_id = job.tenant_id AND type.job_type_id = job.job_type_id
  WHERE line.applied_amount <> 0
  UNION ALL
  -- Of what is left no unit is asked, unless its own does not count: it stands beside the rollups.
  SELECT
    paid.tenant_id,
    'payments' AS source_entity,
    paid.id AS source_id,
    CAST(NULL AS INT64) AS job_id,
    IF(unit.role = 'NONE', payment.business_unit_id, NULL) AS business_unit_id,
    payment.paid_on_local,
    COALESCE(paid.date, paid.created_on) AS dated_at,
    paid.unapplied_amount AS amount,
    IF(payment.payment_id IS NULL, 'inactive', NULL) AS rule
  FROM st_raw.payments AS paid
  LEFT JOIN st_staging.payments AS payment
    ON payment.tenant_id = paid.tenant_id AND payment.payment_id = paid.id
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = payment.tenant_id
    AND unit.business_unit_id = payment.business_unit_id
    AND payment.paid_on_local BETWEEN unit.valid_from AND unit.valid_to
  WHERE paid.unapplied_amount <> 0
),

ruled AS (
  SELECT
    money.tenant_id,
    money.source_entity,
    money.source_id,
    money.job_id,
    money.business_unit_id,
    CASE
      WHEN money.dated_at < TIMESTAMP '1900-01-01 00:00:00+00' THEN NULL
      WHEN money.dated_at = TIMESTAMP_TRUNC(money.dated_at, DAY) THEN DATE(money.dated_at)
      ELSE DATE(money.dated_at, @timezone)
    END AS on_date,
    money.amount,
    CASE
      WHEN money.rule IS NOT NULL THEN money.rule
      WHEN money.paid_on_local IS NULL THEN 'without a day'
      WHEN money.business_unit_id IS NULL THEN NULL
      WHEN unit.role IS NULL THEN 'without a mapping of its unit'
      WHEN unit.role = 'NONE' THEN 'of a unit that does not count'
      WHEN unit.role = 'SALES' THEN 'its invoice is of a SALES unit'
    END AS rule
  FROM money
  LEFT JOIN st_ref.dim_bu_rollup AS unit
    ON unit.tenant_id = money.tenant_id
    AND unit.business_unit_id = money.business_unit_id
    AND money.paid_on_local BETWEEN unit.valid_from AND unit.valid_to
)

SELECT tenant_id, source_entity, source_id, job_id, business_unit_id, on_date, amount, rule
FROM ruled
WHERE rule IS NOT NULL
