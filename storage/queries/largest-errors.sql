-- Which forecasts missed by most?
-- Distance in spreads: beyond 3 says that the forecast was surprised.
-- :region text = all (name of a region)
SELECT valid_month, lead_months, init_month, model_version, mean, observed, error, spread,
    abs(error) / nullif(spread, 0) AS spreads
FROM forecast_vs_observed
WHERE region = :region AND is_latest
ORDER BY abs(error) DESC, valid_month, lead_months
LIMIT 10
