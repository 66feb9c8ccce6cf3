/* Weeks, Monday to Sunday, named by their Monday. Fixed, so that the calendar does not depend on what was loaded. */
/* table: st_ref.dim_weeks */
SELECT
  monday AS week_start,
  CAST(monday + INTERVAL '6' DAY AS DATE) AS week_end
FROM UNNEST(CAST(GENERATE_SERIES(CAST('1990-01-01' AS DATE), CAST('2100-12-27' AS DATE), INTERVAL '7' DAY) AS DATE[])) AS _t0(monday)
