-- Which months were revised, how often and why?
-- Every revision stays; forecasts and scores say which one they used.
SELECT month, revision, committed_at, reason, n_observed, n_completed
FROM month_revisions
WHERE month IN (SELECT month FROM month_revisions GROUP BY month HAVING count(*) > 1)
ORDER BY month, revision
