/* Most production is dated by a first appointment; when most is not, appointments are missing. */
/* check: warn dated_by_appointment */
/* way_on: Load the appointments with `st-kpi backfill --entity appointments`; a company that makes none dates its work by completion, which is right as it is. */
/* accepted_by: tenant_id */
SELECT
  tenant_id,
  COUNT(job_id) AS invoices,
  COUNT(CASE WHEN reason LIKE '%no appointment%' THEN 1 END) AS without_appointment
FROM st_kpi.contributions
WHERE
  kpi = 'produced'
GROUP BY
  tenant_id
HAVING
  COUNT(job_id) >= 100
  AND 2 * COUNT(CASE WHEN reason LIKE '%no appointment%' THEN 1 END) > COUNT(job_id)
ORDER BY
  tenant_id NULLS FIRST
