-- A source that was removed although deliveries of it are kept, as history. It is in no list until something of it counts
-- or waits again, or a file comes for it.
ALTER TABLE source ADD COLUMN removed_at timestamptz;

CREATE FUNCTION is_removed(of_source_id bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT s.removed_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM source_setting t WHERE t.source_id = s.source_id)
        AND NOT EXISTS (SELECT FROM generation g WHERE g.source_id = s.source_id AND g.state = 'current')
        AND NOT EXISTS (SELECT FROM delivery d WHERE d.source_id = s.source_id
                        AND (d.received_at > s.removed_at OR d.state IN ('waiting', 'loading', 'quarantined')))
    FROM source s WHERE s.source_id = of_source_id
$$;
