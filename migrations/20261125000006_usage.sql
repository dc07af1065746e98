-- Usage: what metrics mean, their hours, how far each is known, and where values come from.

CREATE TABLE metric (
    metric text PRIMARY KEY CHECK (metric <> ''),
    meaning text NOT NULL CHECK (meaning IN ('requests', 'orders', 'pipeline-runs', 'training-jobs', 'errors',
        'latency', 'utilization', 'replicas', 'other')),
    -- Of one value: "requests", "ms", "%".
    unit text NOT NULL,
    -- What the hours of a day make, and what the services (or environments) of a day make.
    over_hours text NOT NULL CHECK (over_hours IN ('sum', 'mean', 'max')),
    over_services text NOT NULL CHECK (over_services IN ('sum', 'mean', 'max')),
    -- The unit cost is the cost of so many: 1000 requests.
    unit_cost_per integer NOT NULL DEFAULT 1 CHECK (unit_cost_per BETWEEN 1 AND 1000000000),
    description text NOT NULL DEFAULT '',
    -- What the metric is called in OTLP, beside its own name.
    otlp_names text[] NOT NULL DEFAULT '{}',
    -- Nobody has said yet what it means: it came with its values.
    is_assumed boolean NOT NULL DEFAULT false,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
INSERT INTO metric (metric, meaning, unit, over_hours, over_services, unit_cost_per, description, otlp_names, changed_by, changed_at) VALUES
    ('requests', 'requests', 'requests', 'sum', 'sum', 1000, 'Requests that were answered.', '{http.server.request.duration,http.server.request.count}', 'costwake', '2026-11-25T00:00:00Z'),
    ('orders', 'orders', 'orders', 'sum', 'sum', 1000, 'Orders that were placed.', '{}', 'costwake', '2026-11-25T00:00:00Z'),
    ('training_jobs', 'training-jobs', 'jobs', 'sum', 'sum', 1, 'Training jobs that ended.', '{}', 'costwake', '2026-11-25T00:00:00Z'),
    ('errors', 'errors', 'errors', 'sum', 'sum', 1, 'Requests that failed.', '{}', 'costwake', '2026-11-25T00:00:00Z'),
    ('latency', 'latency', 'ms', 'mean', 'mean', 1, 'How long an answer takes, on average.', '{}', 'costwake', '2026-11-25T00:00:00Z'),
    ('utilization', 'utilization', '%', 'mean', 'mean', 1, 'Used part of what is provided.', '{}', 'costwake', '2026-11-25T00:00:00Z'),
    ('replicas', 'replicas', 'replicas', 'mean', 'sum', 1, 'Copies that run at once.', '{}', 'costwake', '2026-11-25T00:00:00Z');
ALTER TABLE metric_point ADD FOREIGN KEY (metric) REFERENCES metric;

-- Usage by hour, UTC. The day in metric_point is made from its hours whenever one of them changes.
CREATE TABLE metric_hour (
    metric text NOT NULL REFERENCES metric,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    environment_id bigint NOT NULL DEFAULT 0,
    hour timestamptz NOT NULL CHECK (hour = date_trunc('hour', hour, 'UTC')),
    value numeric NOT NULL CHECK (value >= 0),
    -- Of a mean that is made from single readings: what they add up to, and how many they are.
    reading_sum numeric,
    reading_count bigint,
    loaded_by text NOT NULL,
    loaded_at timestamptz NOT NULL,
    PRIMARY KEY (metric, service_id, environment_id, hour)
);

-- Up to when the values of a service are known: what lies before and has no value is missing. Runs of pipelines that are
-- counted from events have zeros for days without one that are known.
CREATE TABLE metric_reach (
    metric text NOT NULL REFERENCES metric,
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    complete_through timestamptz NOT NULL,
    PRIMARY KEY (metric, service_id)
);

-- The values that count. What is told without an environment stands for all of them: beside values of environments, the
-- same service's of the same day, it would count what they count a second time, and does not count, whichever came
-- first. Whoever asks for one environment takes its values and, where a day has none of any, those without one. All that
-- adds up or compares values reads from here; metric_point has what was sent.
CREATE VIEW metric_value AS
SELECT p.metric, p.service_id, p.environment_id, p.charge_date, p.value, p.hour_count, p.loaded_by
FROM metric_point p
WHERE p.environment_id <> 0 OR NOT EXISTS (
    SELECT FROM metric_point o WHERE o.metric = p.metric AND o.charge_date = p.charge_date
        AND o.service_id = p.service_id AND o.environment_id <> 0);

-- Values that were added to others: the same key again adds nothing.
CREATE TABLE metric_addition (
    metric text NOT NULL REFERENCES metric,
    idempotency_key text NOT NULL,
    body_sha256 text NOT NULL,
    point_count bigint NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (metric, idempotency_key)
);

-- Values that came and belong to nothing here, by what they called themselves: counted, never dropped in silence.
CREATE TABLE usage_unmapped (
    origin text NOT NULL,
    metric text NOT NULL,
    service_raw text NOT NULL,
    environment_raw text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('metric', 'service', 'environment', 'kind', 'value')),
    value_count bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (origin, metric, service_raw, environment_raw, reason)
);

-- The last value of each series that came by OTLP: growth is counted from it, and what came twice is known by it.
CREATE TABLE otlp_series (
    fingerprint uuid PRIMARY KEY,
    metric text NOT NULL REFERENCES metric,
    started_at timestamptz,
    last_at timestamptz NOT NULL,
    last_value numeric NOT NULL
);
CREATE INDEX otlp_series_by_time ON otlp_series (last_at);

-- A question to a Prometheus, asked every hour for the last 48.
CREATE TABLE metric_query (
    metric_query_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric text NOT NULL REFERENCES metric,
    -- The address in front of /api/v1/query_range.
    address text NOT NULL,
    promql text NOT NULL CHECK (promql <> ''),
    service_label text NOT NULL,
    environment_label text NOT NULL DEFAULT '',
    bearer_token_sealed bytea,
    is_paused boolean NOT NULL DEFAULT false,
    next_pull_at timestamptz NOT NULL,
    last_pull_at timestamptz,
    last_point_count bigint,
    -- Why the last pull gave nothing; NULL where it went well.
    last_error text,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- Which metric a service's unit cost is shown for.
CREATE TABLE service_unit_metric (
    service_id bigint PRIMARY KEY REFERENCES service ON DELETE CASCADE,
    metric text NOT NULL REFERENCES metric
);

-- Which metric tells how much a service has to do (volume) and how much of it runs at once (replicas): by what metrics
-- mean, so that every analysis looks at the same one and no sum mixes two. Requests before orders, these before runs of
-- pipelines, these before training jobs; of several of one meaning the one with the most days. Runs that are counted from
-- what CI tells are how often a service is built, no volume, unless somebody chose them as its unit.
CREATE VIEW service_measure AS
SELECT DISTINCT ON (service_id, measure) service_id, measure, metric, unit, unit_cost_per
FROM (
    SELECT r.service_id, meant.measure, meant.place, m.metric, coalesce(nullif(m.unit, ''), m.metric) AS unit,
           m.unit_cost_per, count(*) OVER (PARTITION BY r.service_id, meant.measure, meant.place) AS rival_count
    FROM metric_reach r
    JOIN metric m ON m.metric = r.metric
    JOIN (VALUES ('requests', 'volume', 1), ('orders', 'volume', 2), ('pipeline-runs', 'volume', 3),
                 ('training-jobs', 'volume', 4), ('replicas', 'replicas', 1)) AS meant (meaning, measure, place)
        ON meant.meaning = m.meaning
    LEFT JOIN service_unit_metric chosen ON chosen.service_id = r.service_id AND chosen.metric = r.metric
    WHERE m.meaning <> 'pipeline-runs' OR chosen.metric IS NOT NULL
       OR NOT EXISTS (SELECT FROM metric_point p WHERE p.service_id = r.service_id AND p.metric = r.metric
                        AND p.loaded_by = 'pipeline events')
) told
ORDER BY service_id, measure, place,
    -- Days are counted only where they decide.
    CASE WHEN rival_count > 1
         THEN (SELECT count(DISTINCT p.charge_date) FROM metric_point p
               WHERE p.service_id = told.service_id AND p.metric = told.metric) END DESC,
    metric;

-- What the catalogue says of a service beyond its own row, and which description says so.
CREATE TABLE service_detail (
    service_id bigint PRIMARY KEY REFERENCES service ON DELETE CASCADE,
    cost_center text,
    product text,
    -- As owner/name.
    repositories text[] NOT NULL DEFAULT '{}',
    runbook text CHECK (runbook ~ '^https?://'),
    -- The name of the description that it came from last; NULL where a person wrote it.
    described_by text,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
