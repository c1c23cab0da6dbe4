-- What does the record hold of the last two years, and how were gaps filled?
-- Preliminary months wait for a final file.
SELECT month, revision, stage, product, n_observed, n_completed, completion, n_spikes, handover_id
FROM latest_months
ORDER BY month DESC
LIMIT 24
