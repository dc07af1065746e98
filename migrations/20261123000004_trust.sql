-- People, their sessions and tokens, what they did, and the work queue.

CREATE TABLE user_account (
    user_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL UNIQUE CHECK (login = lower(login) AND login <> ''),
    display_name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'member', 'finance', 'admin')),
    -- An administrator sees money only when finance is granted beside it.
    also_finance boolean NOT NULL DEFAULT false,
    password_hash text,
    disabled_at timestamptz,
    -- Sessions and tokens made before this instant are void: a changed password, role or a disabled user ends all.
    credentials_valid_from timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_signed_in_at timestamptz
);

CREATE TABLE user_team (
    user_id bigint NOT NULL REFERENCES user_account ON DELETE CASCADE,
    team_id bigint NOT NULL REFERENCES team ON DELETE CASCADE,
    PRIMARY KEY (user_id, team_id)
);

-- Only the SHA-256 of a session's 256-bit secret is stored.
CREATE TABLE session (
    session_sha256 bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES user_account ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    user_agent text NOT NULL DEFAULT ''
);
CREATE INDEX session_by_user ON session (user_id);

-- One-time links: the first administrator, an invitation, a lost password.
CREATE TABLE sign_in_link (
    link_sha256 bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES user_account ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX sign_in_link_by_user ON sign_in_link (user_id);

CREATE TABLE api_token (
    api_token_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE,
    -- The first characters, shown in lists so that a token can be recognised.
    token_prefix text NOT NULL,
    name text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('ingest', 'read', 'admin')),
    user_id bigint NOT NULL REFERENCES user_account ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);

-- Failed sign-ins, by account and by address, for throttling. The login, known or not, is a keyed hash: it may be
-- a password that was typed into the wrong field.
CREATE TABLE sign_in_failure (
    sign_in_failure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_key text NOT NULL,
    client_address text NOT NULL,
    failed_at timestamptz NOT NULL
);
CREATE INDEX sign_in_failure_by_account ON sign_in_failure (account_key, failed_at);
CREATE INDEX sign_in_failure_by_address ON sign_in_failure (client_address, failed_at);

-- Browsers in which a person signed in: a secret in a cookie that opens nothing, but tells a person's own browser from
-- others at the same address when sign-ins are slowed down.
CREATE TABLE known_browser (
    browser_sha256 bytea NOT NULL,
    user_id bigint NOT NULL REFERENCES user_account ON DELETE CASCADE,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (browser_sha256, user_id)
);

-- Append-only: who did what, from where. Nothing in the code updates or deletes a row.
CREATE TABLE audit_log (
    audit_log_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    actor text NOT NULL,
    client_address text NOT NULL DEFAULT '',
    action text NOT NULL,
    subject text NOT NULL DEFAULT '',
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_by_time ON audit_log (happened_at DESC);
-- From where a person signed in before: such an address is not held up by what others try on the account.
CREATE INDEX audit_log_sign_in ON audit_log (actor, client_address) WHERE action = 'sign_in';
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- The work queue. A lease is on database time; its fencing token is checked in the publish transaction, so
-- that a worker which lost its lease cannot publish.
CREATE SEQUENCE job_fencing_token;
CREATE TABLE job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    -- At most one waiting or running job of a kind and key.
    key text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    run_after timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    fencing_token bigint,
    progress text NOT NULL DEFAULT '',
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE UNIQUE INDEX job_open ON job (kind, key) WHERE state IN ('waiting', 'running');
CREATE INDEX job_due ON job (run_after) WHERE state IN ('waiting', 'running');
