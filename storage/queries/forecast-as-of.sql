-- What did we say on a date?
-- The newest forecast as it was known then, whatever was computed since. On PostgreSQL the function
-- forecast_as_of(timestamp) gives all columns of it.
-- :as_of time (the moment, UTC)
-- :region text = all (name of a region)
SELECT f.run_id, f.init_month, f.created_at, f.valid_month, f.lead_months, f.mean, f.q05, f.q95
FROM forecasts AS f
WHERE f.region = :region AND f.run_id = (
    SELECT run_id FROM runs
    WHERE created_at <= :as_of
    ORDER BY init_month DESC, precedence, entry DESC
    LIMIT 1
)
ORDER BY f.lead_months
