/* Every word of the source that the SQL looks for occurred in the last year of its table: one that was renamed matches nothing. */
/* check: warn */
/* way_on: If the word was renamed in ServiceTitan, a newer st-kpi has to know the new one. */
/* accepted_by: field, literal */
SELECT
  tenant_id,
  field,
  literal
FROM st_staging.missing_words
ORDER BY
  field NULLS FIRST,
  literal NULLS FIRST,
  tenant_id NULLS FIRST
