-- What was forecast for one place at one lead, year after year, and what came?
-- Runs that count; observed is null until the month is in the record. Each value is looked up by its
-- key: with many years of partitions, PostgreSQL would make a join read all leads of the cell.
-- :lat number = 30.25 (degrees north)
-- :lon number = 123.75 (degrees east)
-- :lead_months integer = 1 (months after the init month)
-- :model text = null (version of a model; the champion if not given)
SELECT valid_month,
    (SELECT p.mean FROM cell_predictions AS p
        WHERE p.lead_id = f.id AND p.init_month = f.init_month AND p.cell_id = c.id) AS mean,
    (SELECT p.q05 FROM cell_predictions AS p
        WHERE p.lead_id = f.id AND p.init_month = f.init_month AND p.cell_id = c.id) AS q05,
    (SELECT p.q95 FROM cell_predictions AS p
        WHERE p.lead_id = f.id AND p.init_month = f.init_month AND p.cell_id = c.id) AS q95,
    (SELECT p.climatology FROM cell_predictions AS p
        WHERE p.lead_id = f.id AND p.init_month = f.init_month AND p.cell_id = c.id)
        AS climatology,
    (SELECT o.mean FROM cell_observations AS o
        JOIN latest_months AS m ON m.month_revision_id = o.month_revision_id
        WHERE m.month = f.valid_month AND o.cell_id = c.id) AS observed
FROM (
    SELECT l.id, l.init_month, l.valid_month, r.issued_kind
    FROM runs_current AS r
    JOIN forecast_leads AS l ON l.run_id = r.run_id AND l.lead_months = :lead_months
    WHERE r.model_version = coalesce(:model, (SELECT model_version FROM champion LIMIT 1))
) AS f
CROSS JOIN (
    SELECT id FROM cells
    ORDER BY (lat - :lat) * (lat - :lat) + (lon - :lon) * (lon - :lon)
    LIMIT 1
) AS c
ORDER BY valid_month, issued_kind
