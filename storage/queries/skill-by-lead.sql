-- How good are the forecasts, lead by lead?
-- MSSS and CRPSS: 1 for a perfect forecast, 0 for one that is no better than the reference.
-- :region text = all (name of a region)
SELECT model_version, issued_kind, lead_months, n_months, msss_climatology,
    msss_damped_persistence, rmse, bias, acc, crpss, coverage_90
FROM skill_by_lead
WHERE region = :region
ORDER BY model_version, issued_kind, lead_months
