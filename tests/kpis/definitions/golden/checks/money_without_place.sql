/* In no week is much money left out because something is missing, such as a job or a unit: less than a tenth of what counts. */
/* check: warn */
/* way_on: `st-kpi explain KPI --week DAY --left-out` lists the records: give them their job or unit in ServiceTitan. What is of a project counts with the setting project_money. */
/* accepted_by: kpi, source_entity, rule */
WITH counted AS (
  SELECT
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', on_date) AS DATE) AS week_start,
    SUM(amount) AS amount
  FROM st_kpi.contributions
  /* Of a ratio its denominator says how much there is. */
  WHERE
    part = CASE WHEN kpi IN ('gpm', 'warranty_pct') THEN 'denominator' ELSE part END
    AND on_date BETWEEN CAST($as_of - INTERVAL '91' DAY AS DATE) AND $as_of
  GROUP BY
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', on_date) AS DATE)
), missing AS (
  SELECT
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', on_date) AS DATE) AS week_start,
    source_entity,
    rule,
    SUM(amount) AS amount
  FROM st_kpi.left_out
  /* A rule that begins like this is no decision. */
  WHERE
    STARTS_WITH(rule, 'without ')
    AND part = CASE
      WHEN kpi IN ('gpm', 'warranty_pct') AND source_entity = 'invoices'
      THEN 'denominator'
      ELSE part
    END
    AND (
      on_date IS NULL
      OR on_date BETWEEN CAST($as_of - INTERVAL '91' DAY AS DATE) AND $as_of
    )
  GROUP BY
    tenant_id,
    kpi,
    CAST(DATE_TRUNC('WEEK', on_date) AS DATE),
    source_entity,
    rule
)
SELECT
  missing.tenant_id,
  missing.kpi,
  missing.week_start,
  missing.source_entity,
  missing.rule,
  missing.amount
FROM missing
LEFT JOIN counted
  ON counted.tenant_id = missing.tenant_id
  AND counted.kpi = missing.kpi
  AND counted.week_start = missing.week_start
WHERE
  10 * ABS(missing.amount) >= ABS(COALESCE(counted.amount, CAST(0 AS DECIMAL(38, 9))))
ORDER BY
  missing.week_start DESC,
  missing.tenant_id NULLS FIRST,
  missing.kpi NULLS FIRST,
  missing.source_entity NULLS FIRST,
  missing.rule NULLS FIRST
