-- Reading senders by schedule: what their webhooks did not bring is filled in through their APIs.

CREATE TABLE event_read (
    event_source_id bigint PRIMARY KEY REFERENCES event_source,
    -- Of the API, in front of the paths of repositories.
    address text NOT NULL,
    token_sealed bytea,
    every_minutes integer NOT NULL CHECK (every_minutes BETWEEN 5 AND 10080),
    is_paused boolean NOT NULL DEFAULT false,
    next_read_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE event_read_repository (
    event_source_id bigint NOT NULL REFERENCES event_read ON DELETE CASCADE,
    -- As the sender's API knows it: owner/name, or a GitLab path with groups.
    repository text NOT NULL,
    -- Everything up to here was read; NULL before the first whole read.
    read_through timestamptz,
    last_error text,
    remedy text,
    PRIMARY KEY (event_source_id, repository)
);

-- The ETag of each answer whose content is stored: the same again costs nothing.
CREATE TABLE event_read_mark (
    event_source_id bigint NOT NULL REFERENCES event_read ON DELETE CASCADE,
    address text NOT NULL,
    etag text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (event_source_id, address)
);

-- One row a read, with what it filled in.
CREATE TABLE event_read_run (
    event_read_run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_source_id bigint NOT NULL REFERENCES event_source,
    asked_by text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    request_count integer NOT NULL,
    -- Answers "not modified".
    unchanged_count integer NOT NULL,
    -- Deployments of which nothing was known, statuses that lacked (those of such deployments included), pull requests
    -- and commits.
    deployment_count integer NOT NULL,
    status_count integer NOT NULL,
    change_count integer NOT NULL,
    commit_count integer NOT NULL,
    -- Why it ended early, what to do, and when it goes on by itself.
    error text,
    remedy text,
    continues_at timestamptz
);
CREATE INDEX event_read_run_by_source ON event_read_run (event_source_id, event_read_run_id DESC);

-- How far runs of pipelines are counted as usage, by when they came, and whether something waited to be read then: without
-- a run in it, days without one are zeros, so that they are counted again.
CREATE TABLE pipeline_usage (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    counted_through timestamptz NOT NULL,
    has_to_wait boolean NOT NULL DEFAULT false,
    next_count_at timestamptz NOT NULL
);
INSERT INTO pipeline_usage (counted_through, next_count_at) VALUES ('2000-01-01T00:00:00Z', '2000-01-01T00:00:00Z');
INSERT INTO metric (metric, meaning, unit, over_hours, over_services, unit_cost_per, description, changed_by, changed_at) VALUES
    ('pipeline_runs', 'pipeline-runs', 'runs', 'sum', 'sum', 1, 'Runs of pipelines that ended, counted from what CI senders tell.', 'costwake', '2026-11-26T00:00:00Z'),
    ('pipeline_minutes', 'other', 'minutes', 'sum', 'sum', 1, 'Minutes that runs of pipelines took, counted from what CI senders tell.', 'costwake', '2026-11-26T00:00:00Z');
-- When what namespaces of clusters used is next looked at: rules and names may have changed since a report came.
CREATE TABLE namespace_usage (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    next_count_at timestamptz NOT NULL
);
INSERT INTO namespace_usage (next_count_at) VALUES ('2000-01-01T00:00:00Z');
CREATE INDEX pipeline_run_by_end ON pipeline_run (finished_at);

-- Descriptions of services that are fetched every night, and what came of the last time.
CREATE TABLE catalogue_source (
    catalogue_source_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    kind text NOT NULL CHECK (kind IN ('backstage', 'table', 'codeowners')),
    repository text NOT NULL DEFAULT '',
    address text NOT NULL,
    token_sealed bytea,
    etag text,
    next_read_at timestamptz NOT NULL,
    last_read_at timestamptz,
    last_error text,
    change_count integer NOT NULL DEFAULT 0,
    -- In sentences: what the catalogue says otherwise, what has no owner or is gone, what was not taken.
    conflicts text[] NOT NULL DEFAULT '{}',
    orphans text[] NOT NULL DEFAULT '{}',
    notes text[] NOT NULL DEFAULT '{}',
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- A deployment whose services and environment somebody pinned: rules do not move it.
CREATE TABLE deployment_pin (
    deployment_id bigint PRIMARY KEY REFERENCES deployment ON DELETE CASCADE,
    pinned_by text NOT NULL,
    pinned_at timestamptz NOT NULL
);
