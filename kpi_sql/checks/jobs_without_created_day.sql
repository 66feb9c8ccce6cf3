-- Every job says when it was created: one without stands in no week of Leads.
-- check: warn
-- way_on: The jobs are in no week of Leads: they come right when ServiceTitan sends their createdOn, after an edit there.
-- accepted_by: job_id
SELECT tenant_id, job_id, job_status
FROM st_staging.jobs
WHERE created_on_local IS NULL
ORDER BY tenant_id, job_id
