-- When an event began, beside each of its services: the page of a service counts a year of thousands in the index, and reads
-- the few that it names. It is the event's own, and follows it where deliveries tell of an earlier start.
DROP INDEX operational_event_by_time;
ALTER TABLE operational_event ADD CONSTRAINT operational_event_by_time UNIQUE (started_at, operational_event_id);

ALTER TABLE operational_event_service ADD COLUMN started_at timestamptz;
UPDATE operational_event_service os SET started_at = o.started_at
FROM operational_event o WHERE o.operational_event_id = os.operational_event_id;
ALTER TABLE operational_event_service
    ALTER COLUMN started_at SET NOT NULL,
    DROP CONSTRAINT operational_event_service_operational_event_id_fkey,
    ADD FOREIGN KEY (operational_event_id, started_at) REFERENCES operational_event (operational_event_id, started_at)
        ON UPDATE CASCADE ON DELETE CASCADE;
DROP INDEX operational_event_service_by_service;
CREATE INDEX operational_event_service_by_time
    ON operational_event_service (service_id, started_at, operational_event_id);

-- What senders tell of plans of services, among all that they tell: `service_plans` asks in these words.
CREATE INDEX operational_event_of_plan ON operational_event (operational_event_id)
    WHERE kind = 'marker' AND replace(lower(status), '_', '-') IN ('launch', 'redesign', 'release-window');

-- When an event was mentioned last: by what told of it, and by what told the same again. Each is looked up by itself: joined,
-- all deliveries were read for each alert as long as the database took their table for a small one.
CREATE FUNCTION last_mentions(bigint) RETURNS TABLE (at timestamptz) LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT max(greatest(
    (SELECT greatest(e.received_at, e.repeated_at) FROM event_delivery e
     WHERE e.event_delivery_id = s.event_delivery_id),
    (SELECT max((SELECT greatest(e.received_at, e.repeated_at) FROM event_delivery e
                 WHERE e.event_delivery_id = r.event_delivery_id))
     FROM operational_event_status_repeat r
     WHERE r.operational_event_status_id = s.operational_event_status_id)))
FROM operational_event_status s WHERE s.operational_event_id = $1
$$;

-- As before.
CREATE OR REPLACE FUNCTION lost_ends(bigint, silent_since timestamptz) RETURNS TABLE (at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT greatest(mention.at, o.started_at)
    FROM operational_event o JOIN event_source source USING (event_source_id)
    CROSS JOIN LATERAL last_mentions(o.operational_event_id) mention
    WHERE o.operational_event_id = $1 AND o.kind = 'incident' AND o.ended_at IS NULL AND source.kind = 'alertmanager'
      AND mention.at < $2
$$;

-- The newest of the events that last into some days: of these services, or of any and of none where none are given; of this
-- environment and of none, or of any. Most began on these days, and only of what began before them is asked whether it lasts:
-- an alert that is mentioned no more lasts no longer.
CREATE FUNCTION operational_events_of(
    services bigint[], environment bigint, since timestamptz, until timestamptz, silent_since timestamptz, newest bigint
) RETURNS TABLE (operational_event_id bigint, started_at timestamptz) LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT own.operational_event_id, own.started_at
FROM (
    -- Of each service its newest, of which the newest of all are some; what is of several of them is one event.
    (SELECT DISTINCT of_one.operational_event_id, of_one.started_at
     FROM unnest($1) AS named (service_id)
     CROSS JOIN LATERAL (
         SELECT os.operational_event_id, os.started_at
         FROM operational_event_service os
         WHERE os.service_id = named.service_id AND os.started_at >= $3 AND os.started_at < $4
           AND ($2 IS NULL OR EXISTS (
                SELECT FROM operational_event o
                WHERE o.operational_event_id = os.operational_event_id
                  AND (o.environment_id IS NULL OR o.environment_id = $2)))
         ORDER BY os.started_at DESC, os.operational_event_id DESC LIMIT $6) of_one
     ORDER BY of_one.started_at DESC, of_one.operational_event_id DESC LIMIT $6)
    UNION ALL
    (SELECT o.operational_event_id, o.started_at
     FROM operational_event o
     WHERE $1 IS NULL AND o.started_at >= $3 AND o.started_at < $4
       AND ($2 IS NULL OR o.environment_id IS NULL OR o.environment_id = $2)
     ORDER BY o.started_at DESC, o.operational_event_id DESC LIMIT $6)
    UNION ALL
    (SELECT o.operational_event_id, o.started_at
     FROM operational_event o
     WHERE tstzrange(o.started_at, o.ended_at, '[]') @> $3 AND o.started_at < $3
       AND ($1 IS NULL OR EXISTS (
            SELECT FROM operational_event_service os
            WHERE os.operational_event_id = o.operational_event_id AND os.service_id = ANY ($1)))
       AND ($2 IS NULL OR o.environment_id IS NULL OR o.environment_id = $2)
       AND (o.ended_at IS NOT NULL OR o.kind <> 'incident' OR NOT EXISTS (
                SELECT FROM event_source source
                WHERE source.event_source_id = o.event_source_id AND source.kind = 'alertmanager')
            -- It is not lost, or was mentioned on these days: what `lost_ends` has.
            OR coalesce((SELECT mention.at FROM last_mentions(o.operational_event_id) mention), 'infinity')
                >= least($3, $5)))
) own
ORDER BY own.started_at DESC, own.operational_event_id DESC LIMIT $6
$$;

-- As before; incidents are looked up by the hours in which they fall, not joined to all deployments of their service.
CREATE OR REPLACE FUNCTION change_failures_of(services bigint[], since timestamptz) RETURNS TABLE (
    deployment_id bigint, service_id bigint, reason text, failed_at timestamptz, evidence_deployment_id bigint,
    operational_event_id bigint, change_id bigint, replaced_at timestamptz
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH live AS (
    SELECT d.deployment_id, ds.service_id, d.environment_id, e.kind = 'production' AS is_production, d.finished_at,
           ds.is_rollback OR d.kind = 'rollback' AS is_rollback, lead(d.deployment_id) OVER place AS replaced_by,
           lead(d.finished_at) OVER place AS replaced_at,
           coalesce(lead(ds.is_rollback OR d.kind = 'rollback') OVER place, false) AS is_rolled_back
    FROM deployment d JOIN deployment_service ds USING (deployment_id)
    JOIN environment e ON e.environment_id = d.environment_id
    WHERE d.status IN ('succeeded', 'superseded') AND d.finished_at IS NOT NULL
      AND d.kind NOT IN ('config_sync', 'restart', 'scale') AND NOT ds.is_noop
      AND ($1 IS NULL OR ds.service_id = ANY ($1))
      -- When it went live, as deployment_by_time has it.
      AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2
    WINDOW place AS (PARTITION BY ds.service_id, d.environment_id
                     ORDER BY d.finished_at, d.event_source_id, d.external_id)
), reverting AS (
    -- `Revert "Faster checkout (#12)" (#13)`, or by the commit that the text names.
    SELECT r.change_id, r.repo, r.happened_at, r.reverts,
           substring(title_without_number(r.title) FROM '^Revert "(.*)"$') AS reverted_title
    FROM change r
    WHERE (r.title LIKE 'Revert "%' OR r.reverts <> '{}') AND r.state <> 'abandoned'
      -- The commit of a request that says so too is that request.
      AND NOT (r.state = 'pushed' AND EXISTS (
          SELECT FROM change m WHERE m.repo = r.repo AND m.state = 'merged' AND is_same_commit(m.sha, r.sha)
            AND (m.title LIKE 'Revert "%' OR m.reverts <> '{}')))
      AND r.happened_at >= $2
), reverted AS (
    -- The changes that these reverted, as far as repositories told of them: of several with one title, the last before.
    SELECT r.change_id, r.repo, r.happened_at, c.happened_at AS reverted_at
    FROM reverting r CROSS JOIN LATERAL (
        SELECT c.happened_at FROM change c
        WHERE c.repo = r.repo AND title_without_number(c.title) = title_without_number(r.reverted_title)
          AND is_same_number(r.reverted_title, c.title, c.external_id)
          AND c.state <> 'abandoned' AND c.happened_at <= r.happened_at
        ORDER BY c.happened_at DESC LIMIT 1) c
    UNION
    SELECT r.change_id, r.repo, r.happened_at, c.happened_at
    FROM reverting r CROSS JOIN unnest(r.reverts) AS t (sha)
    JOIN change c ON c.repo = r.repo AND is_same_commit(c.sha, t.sha) AND c.state <> 'abandoned'
), made_of AS (
    SELECT x.deployment_id, m.repo FROM (SELECT DISTINCT deployment_id FROM live) x
    CROSS JOIN LATERAL (
        SELECT d.repo FROM deployment d WHERE d.deployment_id = x.deployment_id AND d.repo <> ''
        UNION SELECT k.repo FROM deployment_commit k WHERE k.deployment_id = x.deployment_id AND k.repo <> '') m
)
SELECT x.deployment_id, x.service_id, 'rollback' AS reason, x.replaced_at AS failed_at,
       x.replaced_by AS evidence_deployment_id, NULL::bigint AS operational_event_id, NULL::bigint AS change_id,
       x.replaced_at
FROM live x WHERE x.is_rolled_back
UNION ALL
(SELECT x.deployment_id, x.service_id, 'hotfix', h.happened_at, x.replaced_by, NULL::bigint, h.change_id, x.replaced_at
 FROM live x
 JOIN deployment_commit k ON k.deployment_id = x.replaced_by
 JOIN change h ON h.is_hotfix AND is_same_commit(h.sha, k.sha) AND (k.repo = '' OR h.repo = k.repo)
     AND h.state <> 'abandoned' AND h.happened_at >= x.finished_at
 WHERE x.is_production AND NOT x.is_rollback
 UNION
 SELECT x.deployment_id, x.service_id, 'hotfix', h.happened_at, x.replaced_by, NULL, h.change_id, x.replaced_at
 FROM live x
 JOIN made_of m ON m.deployment_id = x.replaced_by
 JOIN change h ON h.is_hotfix AND h.repo = m.repo AND h.state <> 'abandoned'
     AND h.happened_at >= x.finished_at AND h.happened_at <= x.replaced_at
 WHERE x.is_production AND NOT x.is_rollback AND NOT x.is_rolled_back
   AND h.happened_at <= built_at(x.replaced_by, h.repo))
UNION ALL
SELECT x.deployment_id, x.service_id, 'incident', o.started_at, NULL, o.operational_event_id, NULL, x.replaced_at
FROM live x
CROSS JOIN LATERAL (
    SELECT o.operational_event_id, o.started_at
    FROM operational_event_service os JOIN operational_event o ON o.operational_event_id = os.operational_event_id
    WHERE os.service_id = x.service_id AND os.started_at >= x.finished_at
      -- Of these the earlier; where nothing took its place, the first.
      AND os.started_at < least(x.finished_at + interval '24 hours', x.replaced_at)
      AND o.kind = 'incident'
      AND (o.environment_id = x.environment_id OR (o.environment_id IS NULL AND x.is_production))
    -- Not to be joined otherwise: each looks up its own hours. All deployments of a service beside all of its incidents
    -- are very many pairs, and few of them belong together.
    OFFSET 0) o
UNION ALL
(SELECT x.deployment_id, x.service_id, 'revert', r.happened_at, NULL::bigint, NULL::bigint, r.change_id, x.replaced_at
 FROM live x
 JOIN deployment_commit k USING (deployment_id)
 JOIN change c ON is_same_commit(c.sha, k.sha) AND (k.repo = '' OR c.repo = k.repo) AND c.state <> 'abandoned'
 JOIN reverting r ON r.repo = c.repo AND title_without_number(r.reverted_title) = title_without_number(c.title)
     AND is_same_number(r.reverted_title, c.title, c.external_id)
     AND r.happened_at >= x.finished_at AND r.happened_at < x.finished_at + interval '90 days'
 UNION
 SELECT x.deployment_id, x.service_id, 'revert', r.happened_at, NULL, NULL, r.change_id, x.replaced_at
 FROM live x
 JOIN deployment_commit k USING (deployment_id)
 JOIN (SELECT r.*, t.sha AS reverted_sha FROM reverting r CROSS JOIN unnest(r.reverts) AS t (sha)) r
     ON is_same_commit(r.reverted_sha, k.sha) AND (k.repo = '' OR r.repo = k.repo)
     AND r.happened_at >= x.finished_at AND r.happened_at < x.finished_at + interval '90 days'
 UNION
 SELECT x.deployment_id, x.service_id, 'revert', v.happened_at, NULL, NULL, v.change_id, x.replaced_at
 FROM live x
 JOIN made_of m USING (deployment_id)
 JOIN reverted v ON v.repo = m.repo AND v.reverted_at <= x.finished_at
     AND v.happened_at >= x.finished_at AND v.happened_at < x.finished_at + interval '90 days'
 WHERE NOT x.is_rollback
   AND v.reverted_at <= built_at(x.deployment_id, v.repo)
   -- The one that was live before may have been so long ago that it is not among these.
   AND v.reverted_at > (
       SELECT built_at(w.deployment_id, v.repo) FROM deployment w JOIN deployment_service ws USING (deployment_id)
       WHERE ws.service_id = x.service_id AND w.environment_id = x.environment_id AND w.finished_at < x.finished_at
         AND w.status IN ('succeeded', 'superseded') AND w.kind NOT IN ('config_sync', 'restart', 'scale')
         AND NOT ws.is_noop
       ORDER BY w.finished_at DESC, w.event_source_id DESC, w.external_id DESC LIMIT 1))
UNION ALL
SELECT x.deployment_id, x.service_id, 'marked', m.marked_at, NULL, NULL, NULL, x.replaced_at
FROM live x JOIN deployment_failure_mark m USING (deployment_id)
$$;
