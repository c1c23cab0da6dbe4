-- When a source was forecast with some probability, how often did it come?
-- Cells of one lead by tenths of the forecast probability; in a reliable forecast, the forecast and
-- the observed share of each row are alike.
-- :lead_months integer = 1 (months after the init month)
-- :since month = 1990-01 (first valid month)
SELECT tenth, count(*) AS n_cells, avg(p_source) AS forecast_share,
    avg(CASE WHEN observed > 0 THEN 1.0 ELSE 0.0 END) AS observed_share
FROM (
    SELECT p_source, observed, CASE
        WHEN p_source < 0.1 THEN 0
        WHEN p_source < 0.2 THEN 1
        WHEN p_source < 0.3 THEN 2
        WHEN p_source < 0.4 THEN 3
        WHEN p_source < 0.5 THEN 4
        WHEN p_source < 0.6 THEN 5
        WHEN p_source < 0.7 THEN 6
        WHEN p_source < 0.8 THEN 7
        WHEN p_source < 0.9 THEN 8
        ELSE 9 END AS tenth
    FROM forecast_vs_observed_cells
    WHERE lead_months = :lead_months AND valid_month >= :since AND observed_share > 0.5
) AS cells
GROUP BY tenth
ORDER BY tenth
