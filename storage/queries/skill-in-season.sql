-- How good has each model been in summer at lead 4?
-- Sums, not scores, are archived: those of any months can be put together exactly.
-- :first integer = 6 (first calendar month of the season)
-- :last integer = 8 (last calendar month of the season; may lie in the next year)
-- :lead_months integer = 4 (months after the init month)
-- :region text = all (name of a region)
SELECT model_version, issued_kind, count(DISTINCT valid_month) AS n_months,
    1 - sum(se_model) / nullif(sum(se_climatology), 0) AS msss_climatology,
    1 - sum(se_model) / nullif(sum(se_damped_persistence), 0) AS msss_damped_persistence
FROM (
    SELECT s.*, CAST(substr(CAST(valid_month AS text), 6, 2) AS integer) AS calendar_month
    FROM scores_current AS s
) AS scores
WHERE region = :region AND lead_months = :lead_months AND (
    calendar_month BETWEEN :first AND :last
    OR (:first > :last AND (calendar_month >= :first OR calendar_month <= :last))
)
GROUP BY model_version, issued_kind
ORDER BY model_version, issued_kind
