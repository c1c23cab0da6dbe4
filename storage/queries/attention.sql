-- What has to be seen to?
-- Files in quarantine or waiting, with what to do about each.
SELECT 'quarantined' AS status, file_name, month, message, remedy FROM quarantine_open
UNION ALL
SELECT 'waiting', file_name, month, message, remedy FROM waiting_open
ORDER BY 1, 2
