/* Every open invoice names a location: Outstanding A/R is counted by location. */
/* check: warn */
SELECT
  tenant_id,
  invoice_id,
  business_unit_id,
  balance
FROM st_staging.invoices
WHERE
  location_id IS NULL AND balance <> 0
ORDER BY
  tenant_id NULLS FIRST,
  invoice_id NULLS FIRST
