-- An invoice is counted once.
-- check: fail counted_once
-- way_on: No record of ServiceTitan can bring this about, so it is the SQL: run `st-kpi build --full`, and if it stays, take back what was last changed in kpi_sql or tell st-kpi's maintainers. Readers keep the last good build.
SELECT tenant_id, source_id AS invoice_id, COUNT(source_id) AS times, SUM(amount) AS total
FROM st_kpi.contributions
WHERE kpi = 'produced'
GROUP BY tenant_id, source_id
HAVING COUNT(source_id) <> 1
ORDER BY times DESC, invoice_id;

-- Most production is dated by a first appointment; when most is not, appointments are missing.
-- check: warn dated_by_appointment
-- way_on: Load the appointments with `st-kpi backfill --entity appointments`; a company that makes none dates its work by completion, which is right as it is.
-- accepted_by: tenant_id
SELECT
  tenant_id,
  COUNT(job_id) AS invoices,
  COUNTIF(reason LIKE '%no appointment%') AS without_appointment
FROM st_kpi.contributions
WHERE kpi = 'produced'
GROUP BY tenant_id
HAVING COUNT(job_id) >= 100 AND 2 * COUNTIF(reason LIKE '%no appointment%') > COUNT(job_id)
ORDER BY tenant_id
