/* Customers owe more than they have paid ahead: only locations that owe are counted. */
/* check: fail not_negative */
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
