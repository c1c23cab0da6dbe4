-- What is forecast for a region, month by month, and how sure is it?
-- The newest run. Between q05 and q95 lies the truth nine times in ten.
-- :region text = changjiang-plume (name of a region)
SELECT valid_month, lead_months, mean, q05, q95, p_source, climatology, anomaly
FROM forecast_latest
WHERE region = :region
ORDER BY lead_months
