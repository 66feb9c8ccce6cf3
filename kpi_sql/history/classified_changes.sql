-- Every contribution that was removed or added, matched where it can be, with the cause of the steps it takes.
-- history: st_staging.classified_changes replace
WITH changed AS (
  SELECT
    tenant_id,
    kpi,
    part,
    source_entity,
    source_id,
    on_date,
    business_unit_id,
    job_id,
    amount,
    reason,
    component,
    before,
    after,
    -- What tells the rows of one source apart, whatever day, unit or number the reason goes on to name.
    COALESCE(
      component,
      REGEXP_REPLACE(REGEXP_EXTRACT(COALESCE(reason, ''), r'^[^,]*'), r'[0-9]', '')
    ) AS head
  FROM st_staging.changed_contributions
),

removed AS (
  SELECT
    tenant_id,
    kpi,
    part,
    source_entity,
    source_id,
    on_date,
    business_unit_id,
    job_id,
    amount,
    reason,
    component,
    head,
    ROW_NUMBER() OVER (
      PARTITION BY tenant_id, kpi, part, source_entity, source_id, head
      ORDER BY on_date, amount, business_unit_id, reason
    ) AS nth
  FROM changed
  CROSS JOIN UNNEST(GENERATE_ARRAY(1, before - after)) AS copy
),

added AS (
  SELECT
    tenant_id,
    kpi,
    part,
    source_entity,
    source_id,
    on_date,
    business_unit_id,
    job_id,
    amount,
    reason,
    component,
    head,
    ROW_NUMBER() OVER (
      PARTITION BY tenant_id, kpi, part, source_entity, source_id, head
      ORDER BY on_date, amount, business_unit_id, reason
    ) AS nth
  FROM changed
  CROSS JOIN UNNEST(GENERATE_ARRAY(1, after - before)) AS copy
),

matched AS (
  SELECT
    COALESCE(removed.tenant_id, added.tenant_id) AS tenant_id,
    COALESCE(removed.kpi, added.kpi) AS kpi,
    COALESCE(removed.part, added.part) AS part,
    COALESCE(removed.source_entity, added.source_entity) AS source_entity,
    COALESCE(removed.source_id, added.source_id) AS source_id,
    removed.tenant_id IS NOT NULL AS is_old,
    added.tenant_id IS NOT NULL AS is_new,
    removed.on_date AS old_on_date,
    removed.business_unit_id AS old_business_unit_id,
    removed.job_id AS old_job_id,
    removed.amount AS old_amount,
    removed.reason AS old_reason,
    removed.component AS old_component,
    added.on_date AS new_on_date,
    added.business_unit_id AS new_business_unit_id,
    added.job_id AS new_job_id,
    added.amount AS new_amount,
    added.reason AS new_reason,
    added.component AS new_component,
    COALESCE(removed.on_date, added.on_date) AS on_date,
    COALESCE(removed.business_unit_id, added.business_unit_id) AS business_unit_id,
    COALESCE(removed.job_id, added.job_id) AS job_id,
    COALESCE(added.component, removed.component) AS component
  FROM removed
  -- Plain equalities: an outer join on anything else is not possible on every engine.
  FULL OUTER JOIN added
    ON added.tenant_id = removed.tenant_id
    AND added.kpi = removed.kpi
    AND added.part = removed.part
    AND added.source_entity = removed.source_entity
    AND COALESCE(added.source_id, -1) = COALESCE(removed.source_id, -1)
    AND added.head = removed.head
    AND added.nth = removed.nth
),

judged AS (
  SELECT
    matched.tenant_id,
    matched.kpi,
    matched.part,
    matched.source_entity,
    matched.source_id,
    matched.is_old,
    matched.is_new,
    matched.old_on_date,
    matched.old_business_unit_id,
    matched.old_job_id,
    matched.old_amount,
    matched.old_reason,
    matched.old_component,
    matched.new_on_date,
    matched.new_business_unit_id,
    matched.new_job_id,
    matched.new_amount,
    matched.new_reason,
    matched.new_component,
    matched.kpi IN UNNEST(@redefined) AND NOT COALESCE(source.is_edited, FALSE) AS is_redefined,
    matched.kpi IN UNNEST(@newly_measured) AS is_newly_measured,
    COALESCE(source.is_new, FALSE) AS is_new_source,
    -- A record that is gone from the raw tables was deleted; of an unknown entity nothing can be said.
    COALESCE(source.is_active, matched.source_entity NOT IN UNNEST(@known_entities))
      AND COALESCE(job.is_active, TRUE) AS is_active,
    unit_before.`rollup` IS DISTINCT FROM unit_now.`rollup`
      OR unit_before.role IS DISTINCT FROM unit_now.role AS is_unit_remapped,
    unit_now.role IS NULL AS is_unmapped,
    type_before.family IS DISTINCT FROM type_now.family AND dim.job_id IS NOT NULL AS is_type_remapped,
    matched.component IS NOT NULL AS is_cost,
    late.job_id IS NOT NULL AS is_late_cost
  FROM matched
  LEFT JOIN st_staging.changed_sources AS source
    ON source.entity = matched.source_entity
    AND source.tenant_id = matched.tenant_id
    AND source.id = matched.source_id
  LEFT JOIN st_staging.changed_sources AS job
    ON job.entity = 'jobs'
    AND job.tenant_id = matched.tenant_id
    AND job.id = matched.job_id
  LEFT JOIN st_dim.dim_jobs AS dim
    ON dim.tenant_id = matched.tenant_id AND dim.job_id = matched.job_id
  LEFT JOIN st_staging.previous_job_types AS type_before
    ON type_before.tenant_id = dim.tenant_id AND type_before.job_type_id = dim.job_type_id
  LEFT JOIN st_ref.dim_job_types AS type_now
    ON type_now.tenant_id = dim.tenant_id AND type_now.job_type_id = dim.job_type_id
  LEFT JOIN st_staging.late_costs AS late
    ON late.tenant_id = matched.tenant_id
    AND late.job_id = COALESCE(matched.new_job_id, matched.old_job_id)
    AND late.component = matched.component
  -- What is left of a payment stands beside the rollups, unless the payment's own unit does not count.
  LEFT JOIN st_raw.payments AS payment
    ON matched.source_entity = 'payments'
    AND payment.tenant_id = matched.tenant_id
    AND payment.id = matched.source_id
    AND COALESCE(payment.active, TRUE)
  LEFT JOIN st_staging.previous_bu_rollup AS unit_before
    ON unit_before.tenant_id = matched.tenant_id
    AND unit_before.business_unit_id = COALESCE(matched.business_unit_id, payment.business_unit_id)
    AND matched.on_date BETWEEN unit_before.valid_from AND unit_before.valid_to
  LEFT JOIN st_ref.dim_bu_rollup AS unit_now
    ON unit_now.tenant_id = matched.tenant_id
    AND unit_now.business_unit_id = COALESCE(matched.business_unit_id, payment.business_unit_id)
    AND matched.on_date BETWEEN unit_now.valid_from AND unit_now.valid_to
)

SELECT
  tenant_id,
  kpi,
  part,
  source_entity,
  source_id,
  is_old,
  is_new,
  old_on_date,
  old_business_unit_id,
  old_job_id,
  old_amount,
  old_reason,
  old_component,
  new_on_date,
  new_business_unit_id,
  new_job_id,
  new_amount,
  new_reason,
  new_component,
  CASE
    WHEN is_newly_measured THEN 'measured'
    WHEN is_old AND is_new AND is_redefined THEN 'definition changed'
    WHEN is_old AND NOT is_new AND NOT is_active THEN 'became inactive or deleted'
    WHEN is_new AND NOT is_old AND is_new_source THEN
      IF(new_on_date < @previous_as_of, 'arrived late', 'new')
    WHEN is_unit_remapped AND is_old <> is_new THEN
      IF(is_unmapped, 'unmapped', 'remapped')
    WHEN is_type_remapped AND is_old <> is_new THEN 'remapped'
    WHEN is_redefined THEN 'definition changed'
    WHEN is_cost AND is_new AND is_late_cost THEN 'arrived late'
    WHEN is_cost THEN 'amount edited'
    WHEN is_old AND is_new AND old_amount <> new_amount THEN 'amount edited'
    WHEN is_old AND is_new AND old_on_date IS DISTINCT FROM new_on_date THEN 're-dated'
    WHEN is_old AND is_new AND old_business_unit_id IS DISTINCT FROM new_business_unit_id THEN 'business unit moved'
    ELSE 'status moved'
  END AS cause
FROM judged
