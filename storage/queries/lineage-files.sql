-- Which files is it made from, and what did their checks say?
-- Down to the SHA-256 of the bytes of each month's file.
-- :run text = null (id of a run; the newest if not given)
SELECT month, revision, product, file_name, file_sha256, stage, n_checks, n_checks_failed,
    acceptance_reason
FROM lineage_files
WHERE run_id = coalesce(:run, (
    SELECT run_id FROM runs ORDER BY init_month DESC, precedence, entry DESC LIMIT 1
))
ORDER BY month
