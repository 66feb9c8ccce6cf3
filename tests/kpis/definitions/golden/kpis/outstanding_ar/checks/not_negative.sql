/* Customers owe more than they have paid ahead: only locations that owe are counted. */
/* check: fail not_negative */
/* way_on: The setting ar_minimum is below zero, so that locations with a credit count as owing: set it to 0 or more. Else it is the SQL: take back what was last changed in kpi_sql. */
SELECT
  tenant_id,
  on_date,
  SUM(amount) AS total
FROM st_kpi.contributions
WHERE
  kpi = 'outstanding_ar'
GROUP BY
  tenant_id,
  on_date
HAVING
  SUM(amount) < 0
ORDER BY
  on_date NULLS FIRST
