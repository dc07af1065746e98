-- What deployments did to cost: every answer that was given, what reviewers wrote, and how often such answers are wrong.

-- An answer about one deployment, service, environment and currency. Append-only: a later answer stands beside the
-- earlier ones and names the one that it replaces. Amounts are estimates a day; they are never added to amounts of
-- bills. What was released on one day to one service has one answer, under each of its deployments.
CREATE TABLE deployment_effect (
    deployment_effect_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id bigint NOT NULL REFERENCES deployment ON DELETE CASCADE,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    environment_id bigint NOT NULL REFERENCES environment ON DELETE CASCADE,
    billing_currency text NOT NULL,
    -- The day on which it reached the environment, UTC.
    release_date date NOT NULL,
    -- The day of the last release that the answer is about: its own, or a later one within a day that shares the answer.
    -- Rows of one service, environment, currency and effect_date say the same and count once.
    effect_date date NOT NULL,
    -- The last complete day of the bills when it was asked.
    asked_on date NOT NULL,
    computed_at timestamptz NOT NULL,
    -- The publication whose figures it was made from.
    publication_id bigint NOT NULL,
    phase text NOT NULL CHECK (phase IN ('measuring', 'provisional', 'settled', 'revised')),
    finding text NOT NULL CHECK (finding IN ('increase', 'decrease', 'no-material-change', 'cannot-tell')),
    reason text NOT NULL,
    -- Complete days that it rests on.
    days_before integer NOT NULL,
    days_after integer NOT NULL,
    -- The days after the release that the effect is a mean over.
    horizon_days integer NOT NULL,
    -- Units of the currency a day, with the 90 % interval. NULL where nothing can be estimated.
    per_day numeric,
    per_day_low numeric,
    per_day_high numeric,
    -- Mean cost a day before the release.
    before_per_day numeric,
    -- The smallest change a day that would have been claimed.
    smallest_visible numeric,
    probability double precision,
    -- Effect for one unit of traffic: {"per_unit", "low", "high", "before", "units_per_day"}.
    per_unit jsonb,
    -- [{"kind", "amount_per_day", "day", "deployment_ids"}], the largest amount first.
    flags jsonb NOT NULL DEFAULT '[]',
    -- Where other releases share the answer: {"days", "deployment_ids", "own_per_day", "own_low", "own_high"}, the
    -- deployments but this one, and what is said of its own day alone.
    joint jsonb,
    -- Of a rollback: did the cost come back?
    came_back jsonb,
    -- Where hours of the bill place the start: {"at", "share_after"}, the moment of the release, and the share of what such
    -- a day usually costs that comes after it.
    hourly_start jsonb,
    method text NOT NULL,
    -- Of everything that the answer is made from: the same inputs are never computed twice.
    fingerprint text NOT NULL,
    -- What is different from the answer that it replaces, in words.
    what_changed text NOT NULL DEFAULT '',
    supersedes bigint REFERENCES deployment_effect,
    CHECK (num_nonnulls(per_day, per_day_low, per_day_high, before_per_day) IN (0, 4))
);
CREATE INDEX deployment_effect_by_deployment
    ON deployment_effect (deployment_id, service_id, environment_id, billing_currency, deployment_effect_id DESC);
CREATE INDEX deployment_effect_by_service ON deployment_effect (service_id, release_date);
CREATE INDEX deployment_effect_by_day ON deployment_effect (release_date);
CREATE INDEX deployment_effect_by_effect_day ON deployment_effect (effect_date);

-- The answers that stand. Not by DISTINCT ON: what a page asks of some days or services must narrow this first.
CREATE VIEW current_deployment_effect AS
SELECT * FROM deployment_effect e
WHERE NOT EXISTS (
    SELECT FROM deployment_effect later
    WHERE later.deployment_id = e.deployment_id AND later.service_id = e.service_id
      AND later.environment_id = e.environment_id AND later.billing_currency = e.billing_currency
      AND later.deployment_effect_id > e.deployment_effect_id
);

-- The line that cost would have followed without the release, for the answer that stands: it is drawn, not kept.
CREATE TABLE deployment_effect_line (
    deployment_id bigint NOT NULL REFERENCES deployment ON DELETE CASCADE,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    environment_id bigint NOT NULL REFERENCES environment ON DELETE CASCADE,
    billing_currency text NOT NULL,
    -- [{"day", "expected", "low", "high"}]
    days jsonb NOT NULL,
    PRIMARY KEY (deployment_id, service_id, environment_id, billing_currency)
);

-- How far the answers are: what they were last made from. One row.
CREATE TABLE effect_run (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    publication_id bigint NOT NULL,
    deployment_mark text NOT NULL,
    method text NOT NULL,
    ran_at timestamptz NOT NULL,
    release_count bigint NOT NULL,
    computed_count bigint NOT NULL
);

CREATE INDEX metric_point_by_load ON metric_point (loaded_at);

-- How often the method is wrong here: the same question asked on days without a release (placebos). A row for
-- environments of the kind production and one for the others, whose cost moves otherwise.
CREATE TABLE effect_calibration (
    environments text PRIMARY KEY CHECK (environments IN ('production', 'others')),
    -- What the intervals are stretched by, as the method keeps it.
    constants jsonb NOT NULL,
    method text NOT NULL,
    placebo_count bigint NOT NULL,
    -- Placebos that were claimed to be an increase or a decrease, and those whose interval left out zero.
    claimed_count bigint NOT NULL,
    outside_count bigint NOT NULL,
    -- How strongly the claimed ones were claimed: the probability of an effect of each.
    claimed_probabilities double precision[] NOT NULL DEFAULT '{}',
    computed_at timestamptz NOT NULL
);

-- What reviewers wrote about a deployment's cost. Append-only; the newest stands first.
CREATE TABLE deployment_note (
    deployment_note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id bigint NOT NULL REFERENCES deployment ON DELETE CASCADE,
    note text NOT NULL CHECK (note <> '' AND length(note) <= 4000),
    written_by text NOT NULL,
    written_at timestamptz NOT NULL
);
CREATE INDEX deployment_note_by_deployment ON deployment_note (deployment_id, deployment_note_id DESC);
