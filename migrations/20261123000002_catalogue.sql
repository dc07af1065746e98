-- The catalogue: teams, services, environments, the names they also go by, and the rules that map to them.

CREATE TABLE team (
    team_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    name text NOT NULL CHECK (name <> ''),
    cost_center text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE service (
    service_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    name text NOT NULL CHECK (name <> ''),
    team_id bigint REFERENCES team ON DELETE SET NULL,
    tier smallint CHECK (tier BETWEEN 1 AND 9),
    lifecycle text NOT NULL DEFAULT 'production' CHECK (lifecycle IN ('experimental', 'production', 'deprecated')),
    origin text NOT NULL DEFAULT 'user' CHECK (origin IN ('user', 'rule', 'api')),
    -- Set where it stands for what rules give to a team and to no service of it.
    share_of_team_id bigint UNIQUE REFERENCES team ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX service_by_team ON service (team_id);

CREATE TABLE environment (
    environment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    name text NOT NULL CHECK (name <> ''),
    kind text NOT NULL CHECK (kind IN ('production', 'staging', 'test', 'development', 'preview', 'other')),
    -- Somebody says when it ends; what its sender tells of a preview is in the view environment_end.
    last_day date,
    -- So many days without use are told as an anomaly.
    idle_days integer NOT NULL DEFAULT 7 CHECK (idle_days BETWEEN 1 AND 90),
    origin text NOT NULL DEFAULT 'user' CHECK (origin IN ('user', 'rule', 'api')),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Other names of a service or environment, lower case.
CREATE TABLE service_alias (
    alias text PRIMARY KEY CHECK (alias = lower(alias) AND alias <> ''),
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE
);
CREATE TABLE environment_alias (
    alias text PRIMARY KEY CHECK (alias = lower(alias) AND alias <> ''),
    environment_id bigint NOT NULL REFERENCES environment ON DELETE CASCADE
);

-- Ordered; for a service and for an environment each, the first rule that matches and names one wins.
-- conditions: [{"attribute": "tag:service", "operator": "equals|prefix|glob|one-of|regex|present", "value": "…"}], all must hold.
-- A target is either one id, or "the one named by this attribute's value".
-- dimensions: [{"dimension": "product", "value": "…"} or {"dimension": "product", "from_attribute": "…"}].
-- first_day and last_day are charge days, both included; NULL is without an end.
CREATE TABLE mapping_rule (
    mapping_rule_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position integer NOT NULL,
    applies_to text NOT NULL CHECK (applies_to IN ('charges', 'deployments', 'both')),
    conditions jsonb NOT NULL,
    service_id bigint REFERENCES service ON DELETE CASCADE,
    environment_id bigint REFERENCES environment ON DELETE CASCADE,
    service_from_attribute text,
    environment_from_attribute text,
    team_id bigint REFERENCES team ON DELETE CASCADE,
    team_from_attribute text,
    dimensions jsonb NOT NULL DEFAULT '[]',
    first_day date,
    last_day date CHECK (last_day >= first_day),
    -- Whether a name that the catalogue lacks is added to it.
    adds_to_catalogue boolean NOT NULL DEFAULT false,
    note text NOT NULL DEFAULT '',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (service_id IS NULL OR service_from_attribute IS NULL),
    CHECK (environment_id IS NULL OR environment_from_attribute IS NULL),
    CHECK (team_id IS NULL OR team_from_attribute IS NULL),
    CHECK (dimensions <> '[]' OR num_nonnulls(service_id, environment_id, team_id, service_from_attribute,
        environment_from_attribute, team_from_attribute) > 0)
);
CREATE UNIQUE INDEX mapping_rule_position ON mapping_rule (position);

-- The tag keys that are part of a rollup key. A rule on another key adds it here, and the charge groups
-- that carry it are keyed again.
CREATE TABLE mapping_tag_key (
    tag_key text PRIMARY KEY
);
INSERT INTO mapping_tag_key (tag_key) VALUES
    ('service'), ('app'), ('application'), ('component'), ('app.kubernetes.io/name'), ('service.name'),
    ('environment'), ('env'), ('stage'), ('deployment.environment.name'), ('namespace'), ('kubernetes_namespace'),
    ('team'), ('owner'), ('product'), ('project'), ('cost-center'), ('cost_center'), ('costcenter');

INSERT INTO mapping_rule (position, applies_to, conditions, service_from_attribute, environment_from_attribute, adds_to_catalogue, note, created_by) VALUES
    (10, 'both', '[{"attribute":"tag:service","operator":"present","value":""}]', 'tag:service', NULL, true, 'The tag "service" names the service.', 'costwake'),
    (20, 'charges', '[{"attribute":"tag:app","operator":"present","value":""}]', 'tag:app', NULL, true, 'The tag "app" names the service.', 'costwake'),
    (30, 'charges', '[{"attribute":"tag:application","operator":"present","value":""}]', 'tag:application', NULL, true, 'The tag "application" names the service.', 'costwake'),
    (40, 'charges', '[{"attribute":"tag:environment","operator":"present","value":""}]', NULL, 'tag:environment', true, 'The tag "environment" names the environment.', 'costwake'),
    (50, 'charges', '[{"attribute":"tag:env","operator":"present","value":""}]', NULL, 'tag:env', true, 'The tag "env" names the environment.', 'costwake'),
    (60, 'deployments', '[{"attribute":"service","operator":"present","value":""}]', 'service', NULL, true, 'A deployment that names its service belongs to it.', 'costwake'),
    (70, 'deployments', '[{"attribute":"environment","operator":"present","value":""}]', NULL, 'environment', true, 'A deployment that names its environment belongs to it.', 'costwake');
