-- Which files was a month computed from?
-- There are rows for months that were delivered as drivers, not as a flux.
SELECT m.month, m.revision, q.quantity, q.product, q.file_name, q.size_bytes, q.sha256
FROM latest_months AS m
JOIN month_inputs AS q ON q.product_file_id = m.product_file_id
ORDER BY m.month DESC, q.quantity
LIMIT 20
