/* Every entity the numbers are made of was read as lately as the others and as the as-of day, within its limit of hours, but those that this tenant does not have. */
/* check: warn */
/* way_on: Run `st-kpi sync`, or `st-kpi backfill --entity` for what was never read; an entity that the app may not read belongs in the setting optional_entities. */
/* accepted_by: entity */
WITH limits AS (
  /* Small lists that hardly change may be older than what happens every day. */
  SELECT
    'business_units' AS entity,
    168 AS hours
  UNION ALL
  SELECT
    'job_types' AS entity,
    168 AS hours
  UNION ALL
  SELECT
    'appointments' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'credit_memos' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'customers' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'estimates' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'gross_pay_items' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'inventory_bills' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'invoices' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'jobs' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'locations' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'payments' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'purchase_orders' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'receipts' AS entity,
    36 AS hours
  UNION ALL
  SELECT
    'returns' AS entity,
    36 AS hours
), read_last AS (
  SELECT
    tenant_id,
    entity,
    MAX(server_time) AS server_time
  FROM st_ops.chunks
  GROUP BY
    tenant_id,
    entity
), newest AS (
  SELECT
    tenant_id,
    MAX(server_time) AS server_time
  FROM read_last
  GROUP BY
    tenant_id
)
SELECT
  newest.tenant_id,
  limits.entity,
  limits.hours AS limit_in_hours,
  read_last.server_time AS read_at,
  newest.server_time AS newest_at,
  $as_of AS as_of
FROM newest
CROSS JOIN limits /* cross join: fifteen entities for each company */
LEFT JOIN read_last
  ON read_last.tenant_id = newest.tenant_id AND read_last.entity = limits.entity
WHERE
  (
    read_last.server_time IS NULL
    AND NOT CASE
      WHEN $optional_entities IS NULL OR ARRAY_LENGTH($optional_entities) = 0
      THEN FALSE
      WHEN ARRAY_CONTAINS($optional_entities, limits.entity)
      THEN TRUE
      WHEN limits.entity IS NULL
      OR ARRAY_LENGTH($optional_entities) <> LIST_COUNT($optional_entities)
      THEN NULL
      ELSE FALSE
    END
  )
  OR (
    EPOCH_US(newest.server_time) - EPOCH_US(read_last.server_time)
  ) // 3600000000 > limits.hours
  OR 24 * DATE_DIFF('DAY', CAST(read_last.server_time AT TIME ZONE $timezone AS DATE), $as_of) > limits.hours
ORDER BY
  newest.tenant_id NULLS FIRST,
  limits.entity NULLS FIRST
