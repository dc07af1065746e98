-- Runs of the proof: every conservation invariant over all data, with what differed.
CREATE TABLE verification (
    verification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL,
    started_by text NOT NULL,
    finished_at timestamptz,
    -- The publication that was current when the run began.
    publication_id bigint NOT NULL,
    -- [{"name": …, "checked": 123, "differences": ["…"]}]
    checks jsonb NOT NULL DEFAULT '[]',
    error text
);
