-- What was forecast for one month, from longest ago to just before it?
-- One row for each run that counts and reaches the month, with the run's kind and model.
-- :valid_month month (the month that is forecast)
-- :region text = all (name of a region)
SELECT f.init_month, f.lead_months, f.issued_kind, f.model_version, f.mean, f.q05, f.q95,
    f.p_source, f.climatology
FROM forecasts AS f
JOIN runs_current AS r ON r.run_id = f.run_id
WHERE f.region = :region AND f.valid_month = :valid_month
ORDER BY f.init_month, f.model_version, f.issued_kind
