-- Is the champion still as good as its hindcast?
-- Above level_limit, where it is only once in twenty years if nothing has changed, it is drifting.
SELECT model_version, last_valid_month, n_months, msss, msss_hindcast, level, level_limit, drifting
FROM drift_current
