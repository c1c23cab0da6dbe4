-- Which forecasts were made with less than they should have had?
-- And why; one row a run.
SELECT DISTINCT run_id, init_month, issued_kind, model_version, created_at, degraded_reason
FROM degraded_forecasts
ORDER BY init_month DESC, created_at DESC
