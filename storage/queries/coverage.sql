-- How often did the truth lie inside the intervals?
-- By lead; within_50_share should be near 0.5 and within_90_share near 0.9: smaller ones say that
-- forecasts are too sure, larger ones that they are not sure enough.
-- :region text = all (name of a region)
SELECT model_version, issued_kind, lead_months, count(*) AS n_forecasts,
    avg(CASE WHEN within_50 THEN 1.0 ELSE 0.0 END) AS within_50_share,
    avg(CASE WHEN within_90 THEN 1.0 ELSE 0.0 END) AS within_90_share
FROM forecast_vs_observed
WHERE region = :region AND is_latest
GROUP BY model_version, issued_kind, lead_months
ORDER BY model_version, issued_kind, lead_months
