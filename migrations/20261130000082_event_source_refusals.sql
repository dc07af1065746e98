-- Requests to a source that did not prove who sent them: a row a source and day, so that a flood writes few. Nothing of a
-- request is kept.
CREATE TABLE event_source_refusal (
    event_source_id bigint NOT NULL REFERENCES event_source ON DELETE CASCADE,
    -- In UTC.
    day date NOT NULL,
    refusal_count bigint NOT NULL CHECK (refusal_count > 0),
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    -- Why the last of them was refused.
    last_reason text NOT NULL CHECK (last_reason IN ('signature_missing', 'signature_wrong', 'token_unknown', 'too_old')),
    PRIMARY KEY (event_source_id, day)
);
