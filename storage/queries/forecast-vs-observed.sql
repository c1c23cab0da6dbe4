-- What was forecast, and what came?
-- Against the latest revision of each month; leave out is_latest to see earlier revisions too.
-- :region text = all (name of a region)
-- :lead_months integer = 1 (months after the init month)
SELECT valid_month, model_version, issued_kind, mean, q05, q95, observed, error, within_90,
    observed_share, revision
FROM forecast_vs_observed
WHERE region = :region AND lead_months = :lead_months AND is_latest
ORDER BY valid_month, model_version, issued_kind
