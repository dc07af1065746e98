-- Even and fixed shares go to whoever has cost in whatever currency, and not only in that of what is divided. What was
-- worked out before is worked out once more.
INSERT INTO job (kind, key, payload, state)
SELECT 'work_out_splits', '', '{}', 'waiting'
WHERE EXISTS (
    SELECT FROM split s WHERE s.method IN ('even', 'fixed') AND (s.by_environment OR s.targets = '[]'::jsonb)
)
ON CONFLICT (kind, key) WHERE state IN ('waiting', 'running')
    DO UPDATE SET payload = jsonb_set(job.payload, '{again}', 'true');
