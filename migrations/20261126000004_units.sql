-- What workloads are for, and which savings nobody wants to be told of again.

-- A goal of one workload: the units of one metric of one service. It says which of two changes is better.
CREATE TABLE workload_goal (
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    -- What the unit is: requests, pipeline runs, training jobs.
    metric text NOT NULL REFERENCES metric,
    goal text NOT NULL CHECK (goal IN ('latency', 'cost', 'weight')),
    -- Weight of cost; the rest is that of the duration.
    cost_percent smallint CHECK (cost_percent BETWEEN 1 AND 99),
    -- The metric that tells how long a unit takes; NULL for the first of the service whose meaning is latency.
    duration_metric text REFERENCES metric,
    stated_by text NOT NULL,
    stated_at timestamptz NOT NULL,
    PRIMARY KEY (service_id, metric),
    CHECK ((goal = 'weight') = (cost_percent IS NOT NULL))
);

-- Somebody has looked at a saving and does not want it: it stays away, with its reason, until that is undone.
CREATE TABLE saving_dismissal (
    saving_dismissal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What it is about: the kind, the service, the environment, the currency, the resource or commitment.
    saving_key text NOT NULL,
    reason text NOT NULL CHECK (reason <> '' AND length(reason) <= 1000),
    -- What it would have saved in 30 days when it was dismissed.
    amount numeric NOT NULL,
    billing_currency text NOT NULL,
    dismissed_by text NOT NULL,
    dismissed_at timestamptz NOT NULL,
    undone_by text,
    undone_at timestamptz,
    CHECK ((undone_by IS NULL) = (undone_at IS NULL))
);
CREATE UNIQUE INDEX saving_dismissal_once ON saving_dismissal (saving_key) WHERE undone_at IS NULL;

-- What somebody registered for a service: more use than usual is expected, and low use is no waste. A launch stands beside
-- the estimates of deployments of these days.
CREATE TABLE service_plan (
    service_plan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('launch', 'redesign', 'release-window')),
    title text NOT NULL CHECK (title <> '' AND length(title) <= 200),
    -- Both included, UTC.
    first_day date NOT NULL,
    last_day date NOT NULL CHECK (last_day >= first_day),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL,
    removed_by text,
    removed_at timestamptz,
    CHECK ((removed_by IS NULL) = (removed_at IS NULL))
);
CREATE INDEX service_plan_by_service ON service_plan (service_id) WHERE removed_at IS NULL;
