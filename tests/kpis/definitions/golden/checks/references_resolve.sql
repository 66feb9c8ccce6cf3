/* What a record refers to is there: a missing job, customer or invoice means that something was not loaded. */
/* check: warn */
/* way_on: Run `st-kpi repair` for the entity that is missing; what was deleted in ServiceTitan stays so. */
/* accepted_by: reference */
WITH dangling AS (
  SELECT
    child.tenant_id,
    'estimates.job_id' AS reference,
    child.id AS source_id
  FROM st_raw.estimates AS child
  LEFT JOIN st_raw.jobs AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.job_id
  WHERE
    NOT NULLIF(child.job_id, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'invoices.job_id' AS reference,
    child.id AS source_id
  FROM st_raw.invoices AS child
  LEFT JOIN st_raw.jobs AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.job_id
  WHERE
    NOT NULLIF(child.job_id, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'appointments.job_id' AS reference,
    child.id AS source_id
  FROM st_raw.appointments AS child
  LEFT JOIN st_raw.jobs AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.job_id
  WHERE
    NOT NULLIF(child.job_id, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'jobs.customer_id' AS reference,
    child.id AS source_id
  FROM st_raw.jobs AS child
  LEFT JOIN st_raw.customers AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.customer_id
  WHERE
    NOT NULLIF(child.customer_id, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'jobs.business_unit_id' AS reference,
    child.id AS source_id
  FROM st_raw.jobs AS child
  LEFT JOIN st_raw.business_units AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.business_unit_id
  WHERE
    NOT NULLIF(child.business_unit_id, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'jobs.job_type_id' AS reference,
    child.id AS source_id
  FROM st_raw.jobs AS child
  LEFT JOIN st_raw.job_types AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.job_type_id
  WHERE
    NOT NULLIF(child.job_type_id, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'payment_applications.applied_to' AS reference,
    child.payment_id AS source_id
  FROM st_raw.payment_applications AS child
  LEFT JOIN st_raw.invoices AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.applied_to
  WHERE
    NOT NULLIF(child.applied_to, 0) IS NULL AND parent.id IS NULL
  UNION ALL
  SELECT
    child.tenant_id,
    'inventory_bills.purchase_order_id' AS reference,
    child.id AS source_id
  FROM st_raw.inventory_bills AS child
  LEFT JOIN st_raw.purchase_orders AS parent
    ON parent.tenant_id = child.tenant_id AND parent.id = child.purchase_order_id
  WHERE
    NOT NULLIF(child.purchase_order_id, 0) IS NULL AND parent.id IS NULL
)
SELECT
  tenant_id,
  reference,
  COUNT(reference) AS dangling,
  MIN(source_id) AS first_id
FROM dangling
GROUP BY
  tenant_id,
  reference
ORDER BY
  dangling DESC,
  reference NULLS FIRST
