-- In which calendar months are they good?
-- By the month that is forecast, all years together.
-- :region text = all (name of a region)
-- :lead_months integer = 1 (months after the init month)
SELECT model_version, issued_kind, calendar_month, n_months, msss_climatology, rmse, bias
FROM skill_by_month
WHERE region = :region AND lead_months = :lead_months
ORDER BY model_version, issued_kind, calendar_month
