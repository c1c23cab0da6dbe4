-- What was forecast for one place at one lead, year after year, and what came?
-- Runs that count; observed is null until the month is in the record.
-- :lat number = 30.25 (degrees north)
-- :lon number = 123.75 (degrees east)
-- :lead_months integer = 1 (months after the init month)
-- :model text = null (version of a model; the champion if not given)
SELECT l.valid_month, p.mean, p.q05, p.q95, p.climatology, o.mean AS observed
FROM runs_current AS r
JOIN forecast_leads AS l ON l.run_id = r.run_id AND l.lead_months = :lead_months
JOIN cell_predictions AS p ON p.lead_id = l.id AND p.init_month = l.init_month
LEFT JOIN latest_months AS m ON m.month = l.valid_month
LEFT JOIN cell_observations AS o
    ON o.month_revision_id = m.month_revision_id AND o.cell_id = p.cell_id
WHERE r.model_version = coalesce(:model, (SELECT model_version FROM champion LIMIT 1))
    AND p.cell_id = (
        SELECT id FROM cells
        ORDER BY (lat - :lat) * (lat - :lat) + (lon - :lon) * (lon - :lon)
        LIMIT 1
    )
ORDER BY l.valid_month, r.issued_kind
