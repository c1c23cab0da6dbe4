-- Which models were promoted or refused, when and why?
-- Newest first.
SELECT p.decided_at, p.model_version, p.kind, p.promoted, p.reason, p.previous_champion,
    v.trained_until
FROM promotions AS p
JOIN model_versions AS v ON v.version = p.model_version
ORDER BY p.id DESC
