-- Deployments, releases and changes, and the raw deliveries that told of them.

-- A sender of events. Its secrets are sealed with the key file; two are valid while one replaces the other.
CREATE TABLE event_source (
    event_source_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    kind text NOT NULL CHECK (kind IN ('api', 'github', 'gitlab', 'bitbucket', 'azure_devops', 'circleci', 'argocd',
        'flux', 'spinnaker', 'cdevents', 'devlake', 'terraform', 'atlantis', 'pagerduty', 'alertmanager', 'launchdarkly',
        'kubernetes', 'grafana', 'honeycomb')),
    secret_current_sealed bytea,
    secret_previous_sealed bytea,
    secret_previous_valid_until timestamptz,
    -- Of a sender that may sign or show a plain token: since it signed first, the token is refused, unless somebody
    -- allows it all the same.
    signed_since timestamptz,
    plain_token_allowed boolean NOT NULL DEFAULT false,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_received_at timestamptz,
    last_error text
);
INSERT INTO event_source (name, kind) VALUES ('api', 'api');

-- A request as it came, committed before it is answered; it can be read again after an adapter was mended.
CREATE TABLE event_delivery (
    event_delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_source_id bigint NOT NULL REFERENCES event_source,
    dedupe_key text NOT NULL,
    event_name text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    body_sha256 text NOT NULL,
    received_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('new', 'done', 'ignored', 'error')),
    error text,
    repeat_count integer NOT NULL DEFAULT 0,
    -- When it came again last.
    repeated_at timestamptz,
    -- How often reading it failed for a reason that may pass; after some it is an error, and others go on.
    failure_count integer NOT NULL DEFAULT 0,
    UNIQUE (event_source_id, dedupe_key)
);
CREATE INDEX event_delivery_by_state ON event_delivery (state, event_delivery_id);

-- A merged pull request or a pushed commit.
CREATE TABLE change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repo text NOT NULL,
    external_id text NOT NULL,
    sha text,
    title text NOT NULL DEFAULT '',
    author text,
    state text NOT NULL CHECK (state IN ('merged', 'pushed', 'abandoned')),
    happened_at timestamptz NOT NULL,
    url text,
    -- It has a label that says so.
    is_hotfix boolean NOT NULL DEFAULT false,
    -- The commits that its text says it reverts.
    reverts text[] NOT NULL DEFAULT '{}',
    -- When what is shown of it was told, by the sender's clock and by ours: a merged one may be labelled afterwards. Not
    -- of a commit that was pushed: what anything else tells of it outweighs that.
    facts_at timestamptz,
    facts_received_at timestamptz,
    UNIQUE (repo, external_id)
);
CREATE INDEX change_by_time ON change (repo, happened_at);
-- Whether two hashes name one commit. Senders cut them: at least the first 8 characters must be there and be the same.
CREATE FUNCTION is_same_commit(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT left($1, 8) = left($2, 8) AND (starts_with($1, $2) OR starts_with($2, $1)) $$;
CREATE INDEX change_by_sha ON change (left(sha, 8));
CREATE INDEX change_hotfix ON change (left(sha, 8)) WHERE is_hotfix;
CREATE INDEX change_hotfix_by_time ON change (repo, happened_at) WHERE is_hotfix;
CREATE INDEX change_reverting ON change (repo) WHERE title LIKE 'Revert "%' OR reverts <> '{}';

-- A version exists. It never goes live by itself.
CREATE TABLE release (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repo text NOT NULL,
    tag text NOT NULL,
    external_id text NOT NULL,
    sha text,
    state text NOT NULL,
    prerelease boolean NOT NULL DEFAULT false,
    -- When the sender says that it came to stand so. Of two actions the later one holds; without times, or at one
    -- instant, the one of higher rank.
    state_at timestamptz,
    state_rank smallint NOT NULL,
    -- When what is shown of it was told, by the sender's clock and by ours.
    facts_at timestamptz,
    facts_received_at timestamptz NOT NULL,
    published_at timestamptz,
    title text,
    url text,
    UNIQUE (repo, external_id)
);

-- Version V of a service is live in environment E from a time on. State is derived from deployment_status
-- by (occurred_at, rank), never by order of arrival.
CREATE TABLE deployment (
    deployment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_source_id bigint NOT NULL REFERENCES event_source,
    external_id text NOT NULL,
    -- What this is one state of, where the sender tells states and not deployments.
    object text,
    repo text,
    environment_raw text,
    service_raw text[] NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    environment_id bigint REFERENCES environment ON DELETE SET NULL,
    environment_rule_id bigint,
    service_rule_id bigint,
    -- Of service_raw, those that no service was found for.
    service_unmapped text[] NOT NULL DEFAULT '{}',
    status text NOT NULL CHECK (status IN ('pending', 'in_progress', 'succeeded', 'failed', 'canceled', 'superseded', 'unknown')),
    status_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    time_is_received boolean NOT NULL DEFAULT false,
    attempts integer NOT NULL DEFAULT 1,
    superseded_at timestamptz,
    -- How it stands: what went live and was followed by another is superseded, whether its sender says so or not.
    standing text NOT NULL GENERATED ALWAYS AS
        (CASE WHEN status = 'succeeded' AND superseded_at IS NOT NULL THEN 'superseded' ELSE status END) STORED,
    version text,
    sha text,
    -- What runs: images, or a package's address with its digest. Never a commit.
    artifact text,
    ref text,
    title text,
    actor text,
    url text,
    environment_url text,
    kind text NOT NULL DEFAULT 'deploy' CHECK (kind IN ('deploy', 'rollback', 'config_sync', 'restart', 'scale', 'infra')),
    -- What the sender called it, where it did; else `kind` says what the versions before it make of it.
    kind_told text,
    strategy text,
    -- Of a canary: [{"at": time, "weight_percent": 20}], in order of time.
    steps jsonb NOT NULL DEFAULT '[]',
    group_id text,
    UNIQUE (event_source_id, external_id)
);
CREATE INDEX deployment_by_object ON deployment (event_source_id, object) WHERE object IS NOT NULL;
CREATE INDEX deployment_by_environment ON deployment (environment_id, finished_at);
CREATE INDEX deployment_by_time ON deployment ((coalesce(finished_at, started_at, created_at)) DESC, deployment_id DESC);

-- One deployment may serve several services (monorepo).
CREATE TABLE deployment_service (
    deployment_id bigint NOT NULL REFERENCES deployment ON DELETE CASCADE,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    -- The version equals the one that was live before, and the service was not removed in between.
    is_noop boolean NOT NULL DEFAULT false,
    -- When the next deployment of this service in the environment went live, or the service was removed before that.
    -- deployment.superseded_at is the last of these, once all its services have one.
    superseded_at timestamptz,
    -- The same artifact runs as before: only its configuration can have changed.
    is_config_sync boolean NOT NULL DEFAULT false,
    -- The version was live before, and another one was live in between.
    is_rollback boolean NOT NULL DEFAULT false,
    PRIMARY KEY (deployment_id, service_id)
);
CREATE INDEX deployment_service_by_service ON deployment_service (service_id);

-- What was deployed, of one or several repositories; the deployment's own commit is among them.
CREATE TABLE deployment_commit (
    deployment_id bigint NOT NULL REFERENCES deployment ON DELETE CASCADE,
    -- Empty where the sender does not say.
    repo text NOT NULL,
    sha text NOT NULL,
    PRIMARY KEY (deployment_id, repo, sha)
);
CREATE INDEX deployment_commit_by_sha ON deployment_commit (sha);

-- How new what a deployment was made of is, of one of its repositories: the time of the commit that was deployed where
-- the repository told of it, else when the deployment was made. What was merged until then is in it.
CREATE FUNCTION built_at(deployment bigint, of_repo text) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        (SELECT max(c.happened_at) FROM deployment_commit k
         JOIN change c ON is_same_commit(c.sha, k.sha) AND c.repo = $2
         WHERE k.deployment_id = $1 AND k.repo IN ('', $2)),
        (SELECT d.created_at FROM deployment d WHERE d.deployment_id = $1))
$$;

-- Every status that was told, append-only.
CREATE TABLE deployment_status (
    deployment_status_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id bigint NOT NULL REFERENCES deployment ON DELETE CASCADE,
    event_delivery_id bigint REFERENCES event_delivery,
    status text NOT NULL,
    status_raw text NOT NULL,
    -- The sender's rising number of the status, else 0: it orders two of one second.
    sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    -- All that was told with it: the deployment's columns are the latest known of each.
    facts jsonb NOT NULL
);
CREATE INDEX deployment_status_by_deployment ON deployment_status (deployment_id, occurred_at);
CREATE INDEX deployment_status_by_delivery ON deployment_status (event_delivery_id);
-- Of a sender that tells states: what was told of an object since a moment, and of one state before it.
CREATE INDEX deployment_status_by_object ON deployment_status ((facts ->> 'object'), occurred_at)
    WHERE facts ->> 'object' IS NOT NULL;
CREATE INDEX deployment_status_by_state ON deployment_status ((facts ->> 'object_key'), occurred_at)
    WHERE facts ->> 'object' IS NOT NULL AND status = 'succeeded';

-- What else told the same status, after the delivery that it is of: where that one is read again and tells it no more, it
-- is the next one's.
CREATE TABLE deployment_status_repeat (
    deployment_status_id bigint NOT NULL REFERENCES deployment_status ON DELETE CASCADE,
    event_delivery_id bigint NOT NULL REFERENCES event_delivery,
    PRIMARY KEY (deployment_status_id, event_delivery_id)
);
CREATE INDEX deployment_status_repeat_by_delivery ON deployment_status_repeat (event_delivery_id);

CREATE TABLE pipeline_run (
    pipeline_run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_source_id bigint NOT NULL REFERENCES event_source,
    external_id text NOT NULL,
    -- What all attempts at the run have in common, and which one this is.
    run_id text NOT NULL,
    attempt bigint NOT NULL,
    repo text,
    name text NOT NULL DEFAULT '',
    status text NOT NULL,
    sha text,
    ref text,
    -- As it was told with how the run stands; where nothing was, the earliest that anything told of the run.
    started_at timestamptz,
    earliest_started_at timestamptz,
    finished_at timestamptz,
    url text,
    -- What told how it stands. A rule that makes it a deployment later looks at all that was told of it.
    event_delivery_id bigint NOT NULL REFERENCES event_delivery,
    received_at timestamptz NOT NULL,
    told_at timestamptz,
    status_rank smallint NOT NULL,
    facts jsonb NOT NULL,
    UNIQUE (event_source_id, external_id)
);
CREATE INDEX pipeline_run_by_sha ON pipeline_run (left(sha, 8));
CREATE INDEX pipeline_run_by_delivery ON pipeline_run (event_delivery_id);

-- What deliveries told of changes, commits, releases and runs of pipelines, append-only but for deliveries that are read
-- again: their rows are what all of it comes to.
CREATE TABLE event_telling (
    event_telling_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_delivery_id bigint NOT NULL REFERENCES event_delivery,
    kind text NOT NULL CHECK (kind IN ('change', 'release', 'pipeline_run')),
    -- The repository; of a run the number of its event source.
    place text NOT NULL,
    -- Of a push, which is a change too, the commit.
    external_id text NOT NULL,
    facts jsonb NOT NULL
);
CREATE INDEX event_telling_by_delivery ON event_telling (event_delivery_id);
CREATE INDEX event_telling_by_subject ON event_telling (kind, place, external_id);
