-- `lost_end_of` as rows, of which there is one or none. In the FROM of a query it becomes a part of it, and what it looks up
-- is looked up only where a condition beside it holds; a value is worked out for every event, however few are open alerts.
CREATE FUNCTION lost_ends(bigint, silent_since timestamptz) RETURNS TABLE (at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT greatest(mention.last_at, o.started_at)
    FROM operational_event o JOIN event_source source USING (event_source_id)
    CROSS JOIN LATERAL (
        SELECT max(greatest(e.received_at, e.repeated_at)) AS last_at
        FROM (
            SELECT s.event_delivery_id FROM operational_event_status s
            WHERE s.operational_event_id = o.operational_event_id
            UNION ALL
            SELECT r.event_delivery_id
            FROM operational_event_status s JOIN operational_event_status_repeat r USING (operational_event_status_id)
            WHERE s.operational_event_id = o.operational_event_id
        ) told JOIN event_delivery e USING (event_delivery_id)
    ) mention
    WHERE o.operational_event_id = $1 AND o.kind = 'incident' AND o.ended_at IS NULL AND source.kind = 'alertmanager'
      AND mention.last_at < $2
$$;

CREATE OR REPLACE FUNCTION lost_end_of(bigint, silent_since timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT at FROM lost_ends($1, $2) $$;
