-- Every open invoice names a location: Outstanding A/R is counted by location.
-- check: warn
-- way_on: Give the invoices a location in ServiceTitan: without one they are left out of Outstanding A/R.
-- accepted_by: invoice_id
SELECT tenant_id, invoice_id, business_unit_id, balance
FROM st_staging.invoices
WHERE location_id IS NULL
  AND balance <> 0
ORDER BY tenant_id, invoice_id
