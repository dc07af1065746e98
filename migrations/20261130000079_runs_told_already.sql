-- Runs of pipelines that are told as deployments by whoever deployed are none besides. Where a rule made some of them
-- deployments, they are worked out once more.
INSERT INTO job (kind, key, payload, state)
SELECT 'remap', '', '{}', 'waiting'
WHERE EXISTS (SELECT FROM mapping_rule r WHERE r.conditions @> '[{"attribute": "pipeline"}]')
ON CONFLICT (kind, key) WHERE state IN ('waiting', 'running')
    DO UPDATE SET payload = jsonb_set(job.payload, '{again}', 'true');
