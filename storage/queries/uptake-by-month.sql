-- How much carbon does the sea take up each month, observed and forecast?
-- Tg C, positive into the sea (a flux is positive out of it), with 90 % intervals.
-- :region text = ecs-shelf (name of a region)
-- :since month = 1990-01 (first month)
SELECT month, source, uptake_tgc, uptake_tgc_low, uptake_tgc_high
FROM ecs_uptake
WHERE period = 'month' AND region = :region AND month >= :since
ORDER BY month
