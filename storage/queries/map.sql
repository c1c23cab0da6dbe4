-- What does one forecast look like as a map?
-- One row for each ocean cell of the archive grid; area_m2 is the ocean in it.
-- :lead_months integer = 1 (months after the init month)
-- :run text = null (id of a run; the newest if not given)
SELECT lat, lon, mean, q05, q95, p_source, anomaly
FROM forecast_cells
WHERE lead_months = :lead_months AND run_id = coalesce(:run, (
    SELECT run_id FROM runs ORDER BY init_month DESC, precedence, entry DESC LIMIT 1
))
ORDER BY lat, lon
