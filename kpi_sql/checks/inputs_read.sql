-- Every KPI has all its inputs: one whose cost was never read shows too high a margin.
-- check: warn
-- way_on: Run `st-kpi backfill`, or grant the app the scope of the entity; one that this tenant has not belongs in the setting optional_entities.
-- accepted_by: kpi, entity
SELECT tenant_id, kpi, entity
FROM st_kpi.missing_inputs
ORDER BY tenant_id, entity, kpi
