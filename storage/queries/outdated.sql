-- Which forecasts should be made again, because a month that they read was revised?
-- The latest such month of each run.
SELECT run_id, init_month, model_version, issued_kind, created_at, revised_month, revision,
    revised_at, n_revised_months
FROM outdated_runs
ORDER BY init_month DESC, created_at DESC
