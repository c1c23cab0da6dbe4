-- When and where may the sea give off CO2 in the coming months?
-- Regions and months in which a source is at least as likely as a given probability.
-- :at_least number = 0.5 (probability that the region is a source)
SELECT region, valid_month, lead_months, p_source, mean, q05, q95
FROM forecast_latest
WHERE p_source >= :at_least
ORDER BY p_source DESC, valid_month, region
