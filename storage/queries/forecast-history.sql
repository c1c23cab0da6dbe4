-- Which runs were ever made from one init month, and why?
-- Nothing is overwritten: a rerun, or a run after a revision, stands beside the earlier ones.
-- :init_month month (last observed month used)
SELECT r.entry, r.run_id, r.issued_kind, r.model_version, r.created_at, r.reason, p.mean AS lead_1
FROM runs AS r
JOIN regional_predictions AS p ON p.run_id = r.run_id AND p.region = 'all' AND p.lead_months = 1
WHERE r.init_month = :init_month
ORDER BY r.entry
