-- What a location owes or has paid is counted once a day.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, on_date, source_entity, source_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'outstanding_ar'
GROUP BY tenant_id, on_date, source_entity, source_id
HAVING COUNT(source_id) <> 1
ORDER BY times DESC, source_id;

-- Customers owe more than they have paid ahead: only locations that owe are counted.
-- check: fail not_negative
-- way_on: The setting ar_minimum is below zero, so that locations with a credit count as owing: set it to 0 or more. Else it is the SQL: take back what was last changed in kpi_sql.
SELECT tenant_id, on_date, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'outstanding_ar'
GROUP BY tenant_id, on_date
HAVING SUM(amount) < 0
ORDER BY on_date
