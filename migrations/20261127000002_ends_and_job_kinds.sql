-- Environments that end by themselves, and people who know better; and what runs of pipelines do.

-- Somebody says that an environment still runs: what its sender told up to then ends nothing. What is told later does.
CREATE TABLE environment_end_refusal (
    environment_id bigint PRIMARY KEY REFERENCES environment ON DELETE CASCADE,
    refused_through timestamptz NOT NULL,
    refused_by text NOT NULL
);

-- Environments that end: on a day that somebody named, or, of previews, because their sender took the environment away
-- or everything down that ran there, and nothing went live there since. Derived, so that no order of arrival matters.
--   gone  the first time that the sender said so after whatever went live last
--   down  the sender said of the last deployment that still stood that it does not any more, or that its service was
--         removed. One stands while it is live and no other took its place; where no service is known, a later one of
--         the same repository did.
CREATE VIEW environment_end AS
SELECT e.environment_id, coalesce(e.last_day, (told.at AT TIME ZONE 'UTC')::date) AS last_day,
       e.last_day IS NULL AS is_told, told.at AS told_at, r.refused_through, r.refused_by,
       e.last_day IS NULL AND told.at <= r.refused_through AS is_refused
FROM environment e
LEFT JOIN environment_end_refusal r USING (environment_id)
LEFT JOIN LATERAL (
    SELECT max(d.finished_at) AS at FROM deployment d
    WHERE d.environment_id = e.environment_id AND d.status IN ('succeeded', 'superseded')
) live ON e.kind = 'preview'
LEFT JOIN LATERAL (
    SELECT min(s.occurred_at) AS at
    FROM operational_event o JOIN operational_event_status s USING (operational_event_id)
    WHERE o.environment_id = e.environment_id AND o.kind = 'environment' AND o.ended_at IS NOT NULL
      AND s.facts ->> 'status_raw' IN ('deleted', 'stopped')
      AND s.occurred_at >= coalesce(live.at, '-infinity')
      AND NOT EXISTS (SELECT FROM operational_event_status n
                      WHERE n.operational_event_id = s.operational_event_id AND n.occurred_at > s.occurred_at
                        AND n.facts ->> 'status_raw' NOT IN ('deleted', 'stopped'))
) gone ON e.kind = 'preview'
LEFT JOIN LATERAL (
    SELECT max(CASE WHEN d.status = 'superseded' THEN d.status_at ELSE d.superseded_at END) AS at
    FROM deployment d
    WHERE d.environment_id = e.environment_id AND d.standing = 'superseded'
      AND NOT EXISTS (
          SELECT FROM deployment n
          WHERE n.environment_id = e.environment_id AND n.status = 'succeeded' AND n.superseded_at IS NULL
            AND (EXISTS (SELECT FROM deployment_service s WHERE s.deployment_id = n.deployment_id)
                 OR NOT EXISTS (SELECT FROM deployment l
                                WHERE l.environment_id = n.environment_id AND l.repo IS NOT DISTINCT FROM n.repo
                                  AND l.status IN ('succeeded', 'superseded') AND l.finished_at > n.finished_at)))
) down ON e.kind = 'preview'
LEFT JOIN LATERAL (SELECT least(gone.at, down.at) AS at) told ON true
WHERE coalesce(e.last_day, (told.at AT TIME ZONE 'UTC')::date) IS NOT NULL;

-- Which runs of pipelines, and which of their jobs, are training, say: they are counted as usage of that kind. The first
-- that fits counts.
CREATE TABLE job_kind_rule (
    job_kind_rule_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL: of any source.
    event_source_id bigint REFERENCES event_source,
    condition jsonb NOT NULL,
    -- Counted as the metrics KIND_jobs and KIND_minutes.
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
    -- What it found when runs were counted last; NULL before.
    run_count bigint,
    unmapped_count bigint NOT NULL DEFAULT 0,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    -- Kept, so that it can be put back.
    deleted_at timestamptz
);
