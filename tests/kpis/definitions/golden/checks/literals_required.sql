/* The three words most money hangs on occurred in the last year: without them sales, work and labour would read as none. */
/* check: fail */
/* way_on: If the word was renamed in ServiceTitan, a newer st-kpi has to know the new one, for nothing is counted by it; a company that never had it is right not to. */
/* accepted_by: field, literal */
SELECT
  tenant_id,
  field,
  literal
FROM st_staging.missing_words
WHERE
  is_required
  AND /* A company that has just begun may have none yet. */ has_many_rows
ORDER BY
  field NULLS FIRST,
  literal NULLS FIRST,
  tenant_id NULLS FIRST
