-- Which customers are tests. A test customer that was switched off is still a test, so inactive ones stay in.
-- inline: st_staging.customers
SELECT tenant_id, id AS customer_id, COALESCE(is_test, FALSE) AS is_test
FROM st_raw.customers
