/* The first job of each project in $ Produced, which dates what was billed and spent without naming a job, or takes it. */
/* table: st_staging.project_jobs */
SELECT
  job.tenant_id,
  job.project_id,
  job.job_id,
  produced.business_unit_id,
  produced.on_date,
  $project_money = 'counted' AS takes_money
FROM st_staging.jobs AS job
JOIN st_staging.produced_jobs AS produced
  ON produced.tenant_id = job.tenant_id AND produced.job_id = job.job_id
WHERE
  NOT job.project_id IS NULL
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY job.tenant_id, job.project_id
    ORDER BY produced.on_date NULLS FIRST, job.job_id NULLS FIRST
  ) = 1
