/* A contribution says what it counts, how much and where it comes from, and is a numerator, denominator or value. */
/* check: fail */
SELECT
  tenant_id,
  kpi,
  part,
  source_entity,
  source_id,
  amount,
  reason
FROM st_kpi.contributions
WHERE
  tenant_id IS NULL
  OR kpi IS NULL
  OR NOT COALESCE(part, '') IN ('value', 'numerator', 'denominator')
  OR source_entity IS NULL
  OR amount IS NULL
  OR reason IS NULL
ORDER BY
  kpi NULLS FIRST,
  source_entity NULLS FIRST,
  source_id NULLS FIRST
