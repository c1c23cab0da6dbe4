-- Can skill be computed again from the archived values alone?
-- From cell rows and what was observed, here the model and damped persistence of one run and lead
-- over the ocean cells that were observed.
-- :run text = null (id of a run; the newest with an observed month if not given)
-- :lead_months integer = 1 (months after the init month)
SELECT valid_month, count(*) AS n_cells,
    1 - sum(area_m2 * (mean - observed) * (mean - observed))
        / sum(area_m2 * (climatology - observed) * (climatology - observed)) AS msss_climatology,
    1 - sum(area_m2 * (damped_persistence - observed) * (damped_persistence - observed))
        / sum(area_m2 * (climatology - observed) * (climatology - observed)) AS msss_of_damped
FROM forecast_vs_observed_cells
WHERE run_id = coalesce(:run, (
        SELECT r.run_id FROM runs AS r
        JOIN forecast_leads AS l ON l.run_id = r.run_id AND l.lead_months = :lead_months
        JOIN latest_months AS m ON m.month = l.valid_month
        ORDER BY r.init_month DESC, r.precedence, r.entry DESC LIMIT 1))
    AND lead_months = :lead_months AND observed_share > 0.5
GROUP BY valid_month
