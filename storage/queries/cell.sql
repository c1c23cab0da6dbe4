-- What is forecast for one place?
-- The archive cell nearest to a point, in the newest run.
-- :lat number = 30.25 (degrees north)
-- :lon number = 123.75 (degrees east)
-- :run text = null (id of a run; the newest if not given)
SELECT c.valid_month, c.lead_months, c.lat, c.lon, c.mean, c.q05, c.q95, c.p_source, c.climatology
FROM forecast_leads AS l
JOIN forecast_cells AS c ON c.run_id = l.run_id AND c.lead_months = l.lead_months
WHERE l.run_id = coalesce(:run, (
    SELECT run_id FROM runs ORDER BY init_month DESC, precedence, entry DESC LIMIT 1
)) AND (c.lat, c.lon) = (
    SELECT lat, lon FROM cells
    ORDER BY (lat - :lat) * (lat - :lat) + (lon - :lon) * (lon - :lon)
    LIMIT 1
)
ORDER BY c.lead_months
