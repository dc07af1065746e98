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
