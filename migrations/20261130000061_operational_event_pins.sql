-- An operational event whose services and environment somebody pinned: rules do not move it. It is known by its source and
-- the sender's key, and says itself where the event belongs, so that it holds where deliveries are read again and the
-- event's row is made anew.
CREATE TABLE operational_event_pin (
    event_source_id bigint NOT NULL REFERENCES event_source,
    external_id text NOT NULL,
    -- NULL: of any environment, as of events.
    environment_id bigint REFERENCES environment ON DELETE SET NULL,
    pinned_by text NOT NULL,
    pinned_at timestamptz NOT NULL,
    PRIMARY KEY (event_source_id, external_id)
);

CREATE TABLE operational_event_pin_service (
    event_source_id bigint NOT NULL,
    external_id text NOT NULL,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    PRIMARY KEY (event_source_id, external_id, service_id),
    FOREIGN KEY (event_source_id, external_id) REFERENCES operational_event_pin ON DELETE CASCADE
);
