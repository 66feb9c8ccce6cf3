-- Every payment that counts has a date: one without stands in no week.
-- check: warn
-- way_on: Give the payments their date in ServiceTitan: without one they are left out of $ Collected.
-- accepted_by: payment_id
SELECT tenant_id, payment_id, unapplied_amount
FROM st_staging.payments
WHERE paid_on_local IS NULL
ORDER BY tenant_id, payment_id
