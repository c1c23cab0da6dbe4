-- What was a run made from and with?
-- One row: model and weights, snapshot of the record, seed, code, libraries, machine; `files` lists
-- the file of every month that it read, as JSON.
-- :run text = null (id of a run; the newest if not given)
SELECT run_id, init_month, created_at, reason, model_version, weights_sha256, snapshot_id, seed,
    code_version, libraries, hardware, n_files, n_checks, n_checks_failed
FROM lineage
WHERE run_id = coalesce(:run, (
    SELECT run_id FROM runs ORDER BY init_month DESC, precedence, entry DESC LIMIT 1
))
