-- Weeks, Monday to Sunday, named by their Monday. Fixed, so that the calendar does not depend on what was loaded.
-- table: st_ref.dim_weeks
SELECT
  monday AS week_start,
  DATE_ADD(monday, INTERVAL 6 DAY) AS week_end
FROM UNNEST(GENERATE_DATE_ARRAY(DATE '1990-01-01', DATE '2100-12-27', INTERVAL 7 DAY)) AS monday
