-- A booked invoice is counted once a day.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, on_date, source_id AS invoice_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'future_bookings'
GROUP BY tenant_id, on_date, source_id
HAVING COUNT(source_id) <> 1
ORDER BY times DESC, invoice_id
