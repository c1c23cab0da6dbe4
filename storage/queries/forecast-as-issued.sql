-- What was live at the time, lead by lead, for the months since a date?
-- The first live run of each month; reruns, backfills and hindcasts came later and do not count.
-- :since month (first valid month)
-- :region text = all (name of a region)
SELECT valid_month, lead_months, init_month, created_at, model_version, mean, q05, q95
FROM forecast_as_issued
WHERE region = :region AND valid_month >= :since
ORDER BY valid_month, lead_months
LIMIT 60
