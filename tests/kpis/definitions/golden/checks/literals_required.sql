/* The three words most money hangs on occurred in the last year: without them sales, work and labour would read as none. */
/* check: fail */
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
