-- The mapping of business units that the build before used.
-- history: st_staging.previous_bu_rollup replace
SELECT tenant_id, business_unit_id, `rollup`, role, valid_from, valid_to
FROM st_ref.dim_bu_rollup
