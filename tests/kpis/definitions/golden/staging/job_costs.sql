/* The cost of a job by part, one row per job and part: each source is summed before anything is joined to it. */
/* table: st_staging.job_costs */
SELECT
  tenant_id,
  job_id,
  part,
  SUM(amount) AS amount
FROM st_staging.costs
WHERE
  rule IS NULL
GROUP BY
  tenant_id,
  job_id,
  part
