-- How often did the truth lie inside the intervals?
-- inside_50 should be near 0.5 and inside_90 near 0.9; fewer say that forecasts are too sure.
-- :lead_months integer = null (months after the init month; all if not given)
SELECT region, count(*) AS n, avg(CASE WHEN inside_50 THEN 1.0 ELSE 0.0 END) AS inside_50_share,
    avg(CASE WHEN inside_90 THEN 1.0 ELSE 0.0 END) AS inside_90_share
FROM forecast_vs_observed
WHERE is_latest AND (:lead_months IS NULL OR lead_months = :lead_months)
GROUP BY region
ORDER BY region
