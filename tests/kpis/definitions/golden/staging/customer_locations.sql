/* The place that stands for a customer where a record names none: the lowest location id, inactive ones included, */
/* since a location only describes where money belongs. */
/* inline: st_staging.customer_locations */
SELECT
  tenant_id,
  customer_id,
  MIN(id) AS location_id
FROM st_raw.locations
GROUP BY
  tenant_id,
  customer_id
