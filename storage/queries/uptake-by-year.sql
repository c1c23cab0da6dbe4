-- How much carbon does each region take up in a year, and how well is that known?
-- Tg C, positive into the sea. A year of observed and forecast months is 'both'; one of fewer than
-- 12 months is not whole.
-- :region text = null (name of a region; all if not given)
SELECT year, region, source, n_months, n_forecast, uptake_tgc, uptake_tgc_low, uptake_tgc_high
FROM ecs_uptake
WHERE period = 'year' AND (:region IS NULL OR region = :region)
ORDER BY year, region
