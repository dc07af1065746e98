-- Allocation: who pays for a rollup key on which charge days, the history of the rules, shared costs and what they
-- are split by, and the tags that an organisation asks for.

-- Who a rollup key belongs to: for every charge day there can be, one row. first_day is included, end_day is not.
-- Most keys have one row, from the year 1 to the year 9999; rules that hold on some days only give a key several.
CREATE TABLE key_mapping (
    sub_account_key integer NOT NULL,
    rollup_key_id uuid NOT NULL,
    first_day date NOT NULL,
    end_day date NOT NULL CHECK (end_day > first_day),
    -- 0 stands for "no rule names one".
    service_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    -- The rule that decided; set beside 0 where it named one that the catalogue lacks.
    service_rule_id bigint,
    environment_rule_id bigint,
    -- {"product": {"value": "Shop", "rule_id": 12}}
    dimensions jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (sub_account_key, rollup_key_id, first_day)
);
CREATE INDEX key_mapping_by_service ON key_mapping (service_id, environment_id);

-- What rules look at of single lines, beyond the columns that every rollup key carries: the values that a condition
-- holds for are kept apart. A condition stays when its rule goes: finer is never wrong.
CREATE TABLE mapping_detail (
    mapping_detail_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attribute text NOT NULL,
    operator text NOT NULL,
    value text NOT NULL
);
-- Which commitment a charge used or left unused.
INSERT INTO mapping_detail (attribute, operator, value) VALUES ('column:CommitmentDiscountId', 'present', '');

-- Every state that a rule was in, append-only. The rule may be gone: its versions stay.
CREATE TABLE mapping_rule_version (
    mapping_rule_id bigint NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    action text NOT NULL CHECK (action IN ('added', 'changed', 'moved', 'deleted', 'restored')),
    -- The rule's content after the action, with names beside ids; of a deleted one, before it.
    content jsonb NOT NULL,
    -- Its place in the list, from 1.
    place integer NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (mapping_rule_id, version)
);
INSERT INTO mapping_rule_version (mapping_rule_id, version, action, content, place, changed_by, changed_at, reason)
SELECT mapping_rule_id, 1, 'added',
    jsonb_build_object('applies_to', applies_to, 'conditions', conditions, 'service_id', service_id,
        'environment_id', environment_id, 'service_from_attribute', service_from_attribute,
        'environment_from_attribute', environment_from_attribute, 'adds_to_catalogue', adds_to_catalogue, 'note', note),
    row_number() OVER (ORDER BY position), created_by, created_at, 'Part of every new installation.'
FROM mapping_rule;

-- Shared costs: whose cost is divided, by what, among whom. A split's rows stand in daily_cost and monthly_cost under
-- its id: positive where the shares go, an exact negative at the origin.
CREATE TABLE split (
    split_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    -- 0 stands for what is not allocated; no foreign key, so that a split outlives its service and says so.
    source_service_id bigint NOT NULL,
    method text NOT NULL CHECK (method IN ('even', 'fixed', 'direct-cost', 'metric')),
    metric text CHECK ((method = 'metric') = (metric IS NOT NULL)),
    -- [{"service_id": 3, "percent": "12.5"}]; empty for every service with cost of its own that is not divided.
    targets jsonb NOT NULL DEFAULT '[]',
    by_environment boolean NOT NULL DEFAULT false,
    first_day date,
    last_day date CHECK (last_day >= first_day),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL
);
-- Every state that a split was in, append-only.
CREATE TABLE split_version (
    split_id bigint NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    action text NOT NULL CHECK (action IN ('added', 'changed', 'deleted')),
    content jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (split_id, version)
);
CREATE INDEX daily_cost_of_splits ON daily_cost (generation_id, charge_date) WHERE split_id <> 0;

-- Usage by day, which costs are divided by: one value a metric, service, environment (0 where it is not told apart) and
-- day. A day without a row is not known; it is never zero.
CREATE TABLE metric_point (
    metric text NOT NULL CHECK (metric <> ''),
    service_id bigint NOT NULL REFERENCES service ON DELETE CASCADE,
    environment_id bigint NOT NULL DEFAULT 0,
    charge_date date NOT NULL,
    value numeric NOT NULL CHECK (value >= 0),
    -- How many hours it was made from; NULL where the day was given as one value.
    hour_count smallint CHECK (hour_count BETWEEN 1 AND 24),
    loaded_by text NOT NULL,
    loaded_at timestamptz NOT NULL,
    PRIMARY KEY (metric, charge_date, service_id, environment_id)
);
CREATE INDEX metric_point_by_service ON metric_point (service_id, metric, charge_date);

-- The tags that charges must have. Keys are taken in any case of letters.
CREATE TABLE tag_rule (
    tag_rule_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag_key text NOT NULL CHECK (tag_key <> ''),
    -- Other keys that count.
    aliases text[] NOT NULL DEFAULT '{}',
    -- The kinds of environment that it is asked of; empty for everywhere.
    environment_kinds text[] NOT NULL DEFAULT '{}',
    -- [{"value": "prod", "aliases": ["production"]}]; empty for any value.
    allowed_values jsonb NOT NULL DEFAULT '[]',
    is_exact_case boolean NOT NULL DEFAULT false,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason <> '')
);
CREATE UNIQUE INDEX tag_rule_by_key ON tag_rule (lower(tag_key));
