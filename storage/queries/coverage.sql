-- How often did the truth lie inside the intervals?
-- within_50_share should be near 0.5 and within_90_share near 0.9; fewer say that forecasts are too sure.
-- :lead_months integer = null (months after the init month; all if not given)
SELECT region, count(*) AS n, avg(CASE WHEN within_50 THEN 1.0 ELSE 0.0 END) AS within_50_share,
    avg(CASE WHEN within_90 THEN 1.0 ELSE 0.0 END) AS within_90_share
FROM forecast_vs_observed
WHERE is_latest AND (:lead_months IS NULL OR lead_months = :lead_months)
GROUP BY region
ORDER BY region
