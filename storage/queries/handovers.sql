-- What was a new product corrected by, and how well does it fit the old one?
-- Corrected value = scale x new value + shift, by region and calendar month.
SELECT h.old_product, h.new_product, h.overlap_first, h.overlap_last, h.rmse_before, h.rmse_after,
    k.region, k.calendar_month, k.scale, k.shift, k.residual, k.n_months
FROM handover_current AS h
JOIN handover_terms AS k ON k.handover_id = h.handover_id
ORDER BY h.new_product, k.region, k.calendar_month
