-- Cost that nothing known explains, what people say about it, and what it taught. Forecasts and what became of them.

-- One row for each cause. Amounts are of usage (EffectiveCost): what came is exact, what was expected is an estimate.
CREATE TABLE anomaly (
    anomaly_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Whose: a service in an environment (none where the cost has none), or one kind of cost of all services of a team.
    service_id bigint REFERENCES service ON DELETE CASCADE,
    environment_id bigint REFERENCES environment ON DELETE CASCADE,
    team_id bigint REFERENCES team ON DELETE CASCADE,
    -- FOCUS ServiceCategory where it is about one kind of cost only.
    service_category text NOT NULL DEFAULT '',
    billing_currency text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('spike', 'faster-than-traffic', 'without-release', 'after-release', 'idle',
        'transfer-above-baseline', 'storage-above-baseline', 'drop')),
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'acknowledged', 'explained', 'planned', 'false-alarm', 'closed')),
    -- Why it was closed without an answer. One that was answered afterwards keeps it, so that the answer can be taken back.
    close_reason text CHECK (close_reason IN ('ended', 'new-normal', 'withdrawn')),
    -- The days of it, UTC, both included. Complete days only.
    start_date date NOT NULL,
    end_date date NOT NULL,
    -- The last complete day when it was found.
    found_on date NOT NULL,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    -- The publication whose figures the amounts are of.
    publication_id bigint NOT NULL,
    -- Of the days from start_date to end_date together.
    day_count integer NOT NULL CHECK (day_count > 0),
    actual_total numeric NOT NULL,
    expected_total numeric NOT NULL,
    -- 90 % of days like these, a day.
    expected_low numeric,
    expected_high numeric,
    -- What was known of it when it was found: share, releases, prices, rules and traffic near its begin.
    evidence jsonb NOT NULL DEFAULT '{}',
    -- [{"resource_id", "name", "service_name", "region_id", "expected", "actual"}], the largest difference first; amounts
    -- as text. They add up to the totals.
    parts jsonb NOT NULL DEFAULT '[]',
    -- [{"day", "actual", "expected", "low", "high"}]; amounts as text.
    days jsonb NOT NULL DEFAULT '[]',
    -- The last day of what is planned.
    planned_until date,
    CHECK ((service_id IS NULL) <> (team_id IS NULL)),
    CHECK (state <> 'closed' OR close_reason IS NOT NULL),
    CHECK (close_reason IS NULL OR state IN ('closed', 'explained', 'false-alarm')),
    CHECK (start_date <= end_date)
);
CREATE INDEX anomaly_by_state ON anomaly (state, end_date DESC);
CREATE INDEX anomaly_by_service ON anomaly (service_id, start_date);
CREATE INDEX anomaly_by_team ON anomaly (team_id);

-- Everything that happened to it, append-only.
CREATE TABLE anomaly_event (
    anomaly_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    anomaly_id bigint NOT NULL REFERENCES anomaly ON DELETE CASCADE,
    -- The state after it.
    state text NOT NULL,
    sentence text NOT NULL,
    -- What a person gave as the reason.
    reason text NOT NULL DEFAULT '' CHECK (length(reason) <= 4000),
    -- Empty where nobody did it.
    done_by text NOT NULL DEFAULT '',
    happened_at timestamptz NOT NULL
);
CREATE INDEX anomaly_event_by_anomaly ON anomaly_event (anomaly_id, anomaly_event_id DESC);

-- From when on answers teach the thresholds of a service (or a team) and kind: what was answered before is forgotten.
CREATE TABLE anomaly_lesson_reset (
    service_id bigint NOT NULL DEFAULT 0,
    team_id bigint NOT NULL DEFAULT 0,
    lesson text NOT NULL CHECK (lesson IN ('spike', 'shift', 'drop', 'idle', 'baseline')),
    reset_at timestamptz NOT NULL,
    reset_by text NOT NULL,
    PRIMARY KEY (service_id, team_id, lesson)
);

-- What each series was last looked at with: the same inputs are never looked at twice, and a restated day is known.
CREATE TABLE anomaly_watch (
    service_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    team_id bigint NOT NULL,
    service_category text NOT NULL,
    billing_currency text NOT NULL,
    fingerprint text NOT NULL,
    -- The day of the last entry of costs: the last complete day that was looked at.
    looked_to date NOT NULL,
    -- Usage of the last days, as estimates read it. NULL is a day without a figure.
    costs double precision[] NOT NULL,
    PRIMARY KEY (service_id, environment_id, team_id, service_category, billing_currency)
);

-- How far anomalies and forecasts are: what they were last made from. A row each.
CREATE TABLE analysis_run (
    analysis text PRIMARY KEY CHECK (analysis IN ('anomalies', 'forecasts')),
    publication_id bigint NOT NULL,
    input_mark text NOT NULL,
    method text NOT NULL,
    ran_at timestamptz NOT NULL
);

-- What a month, quarter or year will cost, as it was said on a day; the last word of each day is kept. EffectiveCost, tax
-- and credits included, shared cost as splits give it.
CREATE TABLE forecast (
    scope text NOT NULL CHECK (scope IN ('service', 'team', 'total')),
    -- The service or team; 0 for all cost together.
    scope_id bigint NOT NULL,
    billing_currency text NOT NULL,
    horizon text NOT NULL CHECK (horizon IN ('month', 'quarter', 'year')),
    first_day date NOT NULL,
    last_day date NOT NULL,
    -- The last complete day that it was made from.
    asked_on date NOT NULL,
    publication_id bigint NOT NULL,
    computed_at timestamptz NOT NULL,
    -- Worked out afterwards from bills of later days, to show how far the method is off.
    is_hindcast boolean NOT NULL DEFAULT false,
    -- Exact: all cost of the complete days asked.
    known numeric NOT NULL,
    -- Estimates: days that show nearly all of it; days after those; fees, taxes and credits that the calendar brings.
    incomplete numeric NOT NULL DEFAULT 0,
    rest numeric NOT NULL DEFAULT 0,
    fees numeric NOT NULL DEFAULT 0,
    -- NULL with the reason where the history is too short.
    point numeric,
    low numeric,
    high numeric,
    no_forecast text NOT NULL DEFAULT '',
    candidate text NOT NULL DEFAULT '',
    past_error double precision,
    origin_count integer NOT NULL DEFAULT 0,
    restart_count integer NOT NULL DEFAULT 0,
    -- What came, once the last day is complete: exact.
    actual numeric,
    PRIMARY KEY (scope, scope_id, billing_currency, horizon, first_day, asked_on),
    CHECK ((point IS NULL) = (no_forecast <> ''))
);
CREATE INDEX forecast_by_day ON forecast (horizon, asked_on);

-- How many intervals held what they promised, as the method keeps it, one for each kind of scope and horizon.
CREATE TABLE forecast_level (
    scope text NOT NULL,
    horizon text NOT NULL,
    level jsonb NOT NULL,
    held_count bigint NOT NULL,
    missed_count bigint NOT NULL,
    -- The first day of the last period that it learnt from.
    learnt_to date NOT NULL,
    PRIMARY KEY (scope, horizon)
);
