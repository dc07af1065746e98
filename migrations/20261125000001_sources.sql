-- How bills of a source come in: by hand, pushed, or read from a folder or an object store.

-- A source without a row is one that files are handed in for.
CREATE TABLE source_setting (
    source_id bigint PRIMARY KEY REFERENCES source ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('upload', 'push', 'directory', 's3', 'gcs', 'azure')),
    -- How files lie there.
    layout text NOT NULL CHECK (layout IN ('files', 'aws-data-export', 'aws-cur', 'azure-export', 'oci')),
    -- What a file that comes does to those before it.
    restatement text NOT NULL CHECK (restatement IN ('replace-by-manifest', 'overwrite', 'append-by-object')),
    -- What the files are, where their columns do not show it.
    format text,
    -- Folder, bucket, prefix, region, endpoint, account: nothing secret.
    place jsonb NOT NULL DEFAULT '{}',
    credentials_sealed bytea,
    -- 'every 30 minutes', 'every 6 hours', 'daily at 06:00'; NULL: read only when someone asks.
    schedule text,
    next_read_at timestamptz,
    -- A new delivery is expected this often; NULL: at no certain time.
    expected_every_hours integer CHECK (expected_every_hours > 0),
    -- What changes a closed month waits for finance, or is booked to the open month by itself.
    late_bills text NOT NULL DEFAULT 'hold' CHECK (late_bills IN ('hold', 'book')),
    is_paused boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX source_setting_due ON source_setting (next_read_at) WHERE NOT is_paused AND next_read_at IS NOT NULL;

-- One look at a source's place, and what came of it. The newest hundred of a source are kept.
CREATE TABLE source_read (
    source_read_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,
    asked_by text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    result text NOT NULL CHECK (result IN ('running', 'new', 'nothing-new', 'partial', 'failed')),
    -- What was seen, and which deliveries came of it.
    object_count bigint NOT NULL DEFAULT 0,
    delivery_ids bigint[] NOT NULL DEFAULT '{}',
    -- What went wrong, and what to do about it.
    message text,
    remedy text
);
CREATE INDEX source_read_by_source ON source_read (source_id, source_read_id DESC);

-- What lies at a source's place: one row a manifest (or a file, where there are none) and content.
CREATE TABLE source_find (
    source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,
    object_key text NOT NULL,
    -- The store's mark of this content.
    etag text NOT NULL,
    -- What it says something about: of all finds of one subject the newest whole one is read.
    subject text NOT NULL,
    -- What tells the export from others that write to the same place; empty for a file.
    export text NOT NULL DEFAULT '',
    -- The export's own id of the version; empty for a file.
    identity text NOT NULL DEFAULT '',
    version_at timestamptz NOT NULL,
    -- read: became a delivery. older: a newer one of its subject was there. partial: parts are missing. left-out:
    -- other files of the place report the same cost.
    state text NOT NULL CHECK (state IN ('read', 'older', 'partial', 'unreadable', 'left-out')),
    delivery_id bigint REFERENCES delivery,
    -- What is missing, what cannot be read, or why it is left out.
    message text,
    found_at timestamptz NOT NULL,
    -- The last look that saw it.
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, object_key, etag)
);
CREATE INDEX source_find_by_delivery ON source_find (delivery_id);

-- A delivery that a program hands in part by part. Its lines are read once it is committed.
CREATE TABLE push_delivery (
    push_delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id bigint NOT NULL REFERENCES source,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    committed_at timestamptz,
    -- SHA-256 over the hashes of all parts in order: a repeated commit must say the same.
    committed_sha256 text,
    delivery_id bigint REFERENCES delivery,
    UNIQUE (source_id, name)
);

-- One part, on disk before it is here.
CREATE TABLE push_part (
    push_delivery_id bigint NOT NULL REFERENCES push_delivery ON DELETE CASCADE,
    number integer NOT NULL CHECK (number > 0),
    sha256 text NOT NULL,
    file_bytes bigint NOT NULL,
    path text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (push_delivery_id, number)
);

-- Two bills of one billing period that count both although they hold the same cost, as a person decided: a row each
-- way. It holds for later versions of both, until one of them counts no more; a third bill beside them is asked about.
CREATE TABLE accepted_beside (
    billing_period_start date NOT NULL,
    source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,
    billing_account_id text NOT NULL,
    append_object text NOT NULL,
    beside_source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,
    beside_billing_account_id text NOT NULL,
    beside_append_object text NOT NULL
);
CREATE INDEX accepted_beside_by_bill ON accepted_beside (source_id, billing_period_start);

-- What of a source such a decision is about: an export, and where files add up all of them.
CREATE FUNCTION decided_object(of_source_id bigint, of_object text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM source_setting t
                             WHERE t.source_id = of_source_id AND t.restatement = 'append-by-object')
        THEN '' ELSE of_object END
$$;

-- Whether this delivery holds the same bill as this generation, and so takes its place.
CREATE FUNCTION brings_bill_of(of_delivery_id bigint, other_id bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM generation own
        JOIN generation other USING (source_id, billing_account_id, billing_period_start, append_object)
        WHERE own.delivery_id = of_delivery_id AND other.generation_id = other_id
    )
$$;

-- Whether someone accepted that these two generations, or versions of the same two bills, count both.
CREATE FUNCTION is_accepted_beside(one_id bigint, other_id bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM generation one
        JOIN generation other ON other.generation_id = other_id
        JOIN accepted_beside a
            ON a.source_id = one.source_id AND a.billing_period_start = one.billing_period_start
            AND a.billing_account_id = one.billing_account_id
            AND a.append_object = decided_object(one.source_id, one.append_object)
            AND a.beside_source_id = other.source_id
            AND a.beside_billing_account_id = other.billing_account_id
            AND a.beside_append_object = decided_object(other.source_id, other.append_object)
        WHERE one.generation_id = one_id
    )
$$;

-- The sub accounts of a generation, '' for lines without one, in the letters in which bills are compared. From one
-- rollup key to the next by the primary key, whatever days each has: whoever stops early has read only so many.
CREATE FUNCTION sub_accounts_of(of_generation_id bigint) RETURNS SETOF text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH RECURSIVE key AS (
        (SELECT d.sub_account_key, d.rollup_key_id FROM daily_cost_by_key d
         WHERE d.generation_id = of_generation_id ORDER BY d.rollup_key_id LIMIT 1)
        UNION ALL
        SELECT following.sub_account_key, following.rollup_key_id
        FROM key CROSS JOIN LATERAL (
            SELECT d.sub_account_key, d.rollup_key_id FROM daily_cost_by_key d
            WHERE d.generation_id = of_generation_id AND d.rollup_key_id > key.rollup_key_id
            ORDER BY d.rollup_key_id LIMIT 1
        ) following
    )
    SELECT coalesce(replace(lower(k.sub_account_id), '/subscriptions/', ''), '')
    FROM key JOIN rollup_key k USING (sub_account_key, rollup_key_id)
$$;
