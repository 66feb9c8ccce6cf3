/* Job types, one row each, with their family: from the mapping, else by name, else other. */
/* table: st_ref.dim_job_types */
SELECT
  type.tenant_id,
  type.id AS job_type_id,
  type.name AS job_type,
  COALESCE(
    mapped.family,
    CASE
      WHEN LOWER(REPLACE(type.name, 'İ', 'i̇')) LIKE '%estimate%'
      THEN 'estimate'
      ELSE 'other'
    END
  ) AS family,
  NOT mapped.job_type_id IS NULL AS is_mapped,
  type.sold_threshold,
  COALESCE(type.no_charge, FALSE) AS is_no_charge,
  COALESCE(type.active, TRUE) AS is_active
FROM st_raw.job_types AS type
LEFT JOIN st_staging.job_type_mapping AS mapped
  ON mapped.tenant_id = type.tenant_id AND mapped.job_type_id = type.id
UNION ALL
/* One that ServiceTitan does not list any more has a line of the mapping alone, by its id. */
SELECT
  mapped.tenant_id,
  mapped.job_type_id,
  CAST(NULL AS TEXT) AS job_type,
  mapped.family,
  TRUE AS is_mapped,
  CAST(NULL AS DECIMAL(38, 9)) AS sold_threshold,
  FALSE AS is_no_charge,
  FALSE AS is_active
FROM st_staging.job_type_mapping AS mapped
LEFT JOIN st_raw.job_types AS type
  ON type.tenant_id = mapped.tenant_id AND type.id = mapped.job_type_id
WHERE
  type.id IS NULL
