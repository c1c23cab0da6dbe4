-- What did the last decisions rest on?
-- The candidate beside each rival on the same months; lead 0 is all leads together.
SELECT p.model_version, p.kind, p.promoted, f.rival, f.lead_months, f.n_months, f.difference,
    f.low, f.high, f.passed
FROM promotion_figures AS f
JOIN promotions AS p ON p.id = f.promotion_id
ORDER BY p.id DESC, f.rival, f.lead_months
LIMIT 24
