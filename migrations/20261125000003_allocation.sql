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
