-- What stands beside deployments and cost: incidents, feature flags, changes of infrastructure, autoscaling, markers.

-- Derived from operational_event_status by time, never by order of arrival. Services and environment by mapping rules.
CREATE TABLE operational_event (
    operational_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_source_id bigint NOT NULL REFERENCES event_source,
    external_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('incident', 'feature_flag', 'infra_change', 'scale', 'environment', 'marker')),
    -- The sender's own word.
    status text NOT NULL,
    severity text,
    title text NOT NULL,
    started_at timestamptz NOT NULL,
    -- NULL while it lasts; of what happened at one moment, that moment.
    ended_at timestamptz,
    time_is_received boolean NOT NULL,
    actor text,
    url text,
    repo text,
    environment_raw text,
    service_raw text[] NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    environment_id bigint REFERENCES environment ON DELETE SET NULL,
    environment_rule_id bigint,
    service_rule_id bigint,
    UNIQUE (event_source_id, external_id),
    CHECK (ended_at >= started_at)
);
CREATE INDEX operational_event_by_time ON operational_event (started_at);

CREATE TABLE operational_event_service (
    operational_event_id bigint NOT NULL REFERENCES operational_event ON DELETE CASCADE,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    PRIMARY KEY (operational_event_id, service_id)
);
CREATE INDEX operational_event_service_by_service ON operational_event_service (service_id);

-- All that was told of it, append-only but for deliveries that are read again.
CREATE TABLE operational_event_status (
    operational_event_status_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operational_event_id bigint NOT NULL REFERENCES operational_event ON DELETE CASCADE,
    event_delivery_id bigint NOT NULL REFERENCES event_delivery,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    facts jsonb NOT NULL
);
CREATE INDEX operational_event_status_by_event ON operational_event_status (operational_event_id);
CREATE INDEX operational_event_status_by_delivery ON operational_event_status (event_delivery_id);

-- Somebody says that a deployment failed, though it went live.
CREATE TABLE deployment_failure_mark (
    deployment_id bigint PRIMARY KEY REFERENCES deployment ON DELETE CASCADE,
    note text NOT NULL DEFAULT '',
    marked_by text NOT NULL,
    marked_at timestamptz NOT NULL
);

-- Which deployments failed though they went live, why, and by which evidence. One row a reason and service:
--   rollback  the deployment that took its place went back to an earlier version
--   revert    a change that it deployed, of whichever repository, was reverted afterwards
--   incident  one of the service began within a day after it went live, before the next deployment
--   marked    somebody said so
CREATE VIEW change_failure AS
WITH live AS (
    SELECT d.deployment_id, ds.service_id, d.environment_id, d.finished_at, ds.superseded_at,
           ds.is_rollback OR d.kind = 'rollback' AS is_rollback
    FROM deployment d JOIN deployment_service ds USING (deployment_id)
    WHERE d.status IN ('succeeded', 'superseded') AND d.finished_at IS NOT NULL AND d.environment_id IS NOT NULL
      AND d.kind <> 'config_sync' AND NOT ds.is_noop
)
SELECT x.deployment_id, x.service_id, 'rollback' AS reason, r.finished_at AS failed_at,
       r.deployment_id AS evidence_deployment_id, NULL::bigint AS operational_event_id, NULL::bigint AS change_id
FROM live x JOIN live r ON r.service_id = x.service_id AND r.environment_id = x.environment_id
    AND r.finished_at = x.superseded_at AND r.is_rollback AND r.deployment_id <> x.deployment_id
UNION ALL
SELECT x.deployment_id, x.service_id, 'incident', o.started_at, NULL, o.operational_event_id, NULL
FROM live x
JOIN operational_event_service os USING (service_id)
JOIN operational_event o USING (operational_event_id)
WHERE o.kind = 'incident' AND (o.environment_id IS NULL OR o.environment_id = x.environment_id)
  AND o.started_at >= x.finished_at AND o.started_at < x.finished_at + interval '24 hours'
  AND (x.superseded_at IS NULL OR o.started_at < x.superseded_at)
UNION ALL
SELECT DISTINCT x.deployment_id, x.service_id, 'revert', r.happened_at, NULL::bigint, NULL::bigint, r.change_id
FROM live x
JOIN deployment_commit k USING (deployment_id)
JOIN change c ON is_same_commit(c.sha, k.sha) AND (k.repo = '' OR c.repo = k.repo) AND c.state <> 'abandoned'
JOIN change r ON r.repo = c.repo AND r.state <> 'abandoned' AND r.title = 'Revert "' || c.title || '"'
    AND r.happened_at >= x.finished_at AND r.happened_at < x.finished_at + interval '90 days'
UNION ALL
SELECT x.deployment_id, x.service_id, 'marked', m.marked_at, NULL, NULL, NULL
FROM live x JOIN deployment_failure_mark m USING (deployment_id);
