-- The ledger: where bills come from, what each delivery brought, the charges, and their rollups.
--
-- Money is NUMERIC without scale: the provider's digits are kept to the last one.
-- Tables that can be distributed by a later scale-out carry sub_account_key in every key,
-- have no trigger and no foreign key to a local table.

-- A place that bills come from: one provider and billing account, or what an import was told with --source.
CREATE TABLE source (
    source_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    provider_name text,
    -- Named after a file's provider and account: a file that comes without a name looks for its bill here.
    is_named_by_file boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One file that was handed in. Every attempt leaves a row, also the unchanged and the refused ones.
CREATE TABLE delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id bigint REFERENCES source,
    -- The source that the import was told; NULL where the file itself names it.
    named_source text,
    file_name text NOT NULL,
    file_bytes bigint NOT NULL DEFAULT 0,
    content_sha256 text,
    format text,
    -- Orders deliveries of one scope: the manifest's or object's time, else --as-of, else the time of receipt.
    version_at timestamptz NOT NULL,
    version_basis text NOT NULL CHECK (version_basis IN ('manifest', 'object', 'as-of', 'receipt')),
    -- What is a scope of its own within an account and month: where the source appends the name of the object, where a
    -- manifest was read its export. '' where there is neither.
    append_object text NOT NULL DEFAULT '',
    -- Its columns under their FOCUS names: two deliveries side by side show what changed.
    columns text[] NOT NULL DEFAULT '{}',
    received_at timestamptz NOT NULL,
    received_by text NOT NULL,
    state text NOT NULL CHECK (state IN
        ('waiting', 'loading', 'published', 'unchanged', 'quarantined', 'refused', 'failed', 'withdrawn', 'superseded')),
    reason text,
    row_count bigint NOT NULL DEFAULT 0,
    rejected_row_count bigint NOT NULL DEFAULT 0,
    missing_columns text[] NOT NULL DEFAULT '{}',
    extra_columns text[] NOT NULL DEFAULT '{}',
    warnings text[] NOT NULL DEFAULT '{}',
    finished_at timestamptz,
    -- Set when someone accepted a quarantined delivery with what it lacks.
    accepted_by text,
    accepted_at timestamptz,
    -- Set where it changes a closed month and so waits for finance (state 'quarantined') or did.
    waits_for_closed_month boolean NOT NULL DEFAULT false,
    -- Set where it waits, or did, because lines or columns lack, or it holds something else than was announced.
    is_faulty boolean NOT NULL DEFAULT false
);
CREATE INDEX delivery_by_source ON delivery (source_id, received_at DESC);
CREATE INDEX delivery_by_state ON delivery (state, received_at DESC);

-- Deliveries that waited for a decision until a newer one held their bills anew. Their lines are not kept: once the newer
-- one is taken back, their files are to be handed in again.
CREATE TABLE replaced_waiting (
    delivery_id bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    older_delivery_id bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    PRIMARY KEY (delivery_id, older_delivery_id)
);

-- What a delivery's readable rows add up to. An absent currency is '', a cost that none of them has NULL.
CREATE TABLE delivery_total (
    delivery_id bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    billing_account_id text NOT NULL,
    billing_period_start date NOT NULL,
    billing_currency text NOT NULL,
    row_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric,
    contracted_cost numeric,
    PRIMARY KEY (delivery_id, billing_account_id, billing_period_start, billing_currency)
);

-- Rows that could not be read. The first thousand are kept; delivery.rejected_row_count counts all.
CREATE TABLE delivery_rejection (
    delivery_id bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    line bigint NOT NULL,
    column_name text NOT NULL,
    value text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (delivery_id, line)
);

-- What can be read of the amounts of all those rows. An absent currency is ''.
CREATE TABLE delivery_rejected_total (
    delivery_id bigint NOT NULL REFERENCES delivery ON DELETE CASCADE,
    billing_currency text NOT NULL,
    row_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    PRIMARY KEY (delivery_id, billing_currency)
);

-- The immutable content of one scope (source, billing account, billing period, and the export, or the object where the
-- source appends) as one delivery gave it.
-- generation_id = delivery_id * 4096 + ordinal, so that one partition of charge holds one delivery.
CREATE TABLE generation (
    generation_id bigint PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES delivery,
    source_id bigint NOT NULL REFERENCES source,
    billing_account_id text NOT NULL,
    billing_period_start date NOT NULL,
    billing_period_end date NOT NULL,
    append_object text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('loading', 'ready', 'current', 'superseded', 'withdrawn')),
    charge_count bigint NOT NULL DEFAULT 0,
    first_charge_date date,
    last_charge_date date,
    -- False once the lines of a superseded generation were dropped; its daily totals stay.
    has_charges boolean NOT NULL DEFAULT true,
    published_at timestamptz,
    superseded_at timestamptz,
    replaced_generation_id bigint,
    -- Set where the same bytes were handed in again with a newer version: then that one orders the scope, not the
    -- delivery's own.
    version_at timestamptz,
    -- ProviderName and InvoiceIssuerName of its lines in lower case: they tell whether another source holds the
    -- same bill.
    biller_names text[] NOT NULL DEFAULT '{}',
    -- Whether usage of it is charged by the hour: then its lines tell when in a day cost arose.
    has_hourly_charges boolean NOT NULL DEFAULT false
);
-- One current generation a scope: the database itself refuses a second.
CREATE UNIQUE INDEX generation_current
    ON generation (source_id, billing_account_id, billing_period_start, append_object) WHERE state = 'current';
CREATE INDEX generation_by_bill ON generation (billing_account_id, billing_period_start) WHERE state = 'current';
CREATE INDEX generation_by_delivery ON generation (delivery_id);
CREATE INDEX generation_by_scope ON generation (source_id, billing_account_id, billing_period_start, generation_id DESC);

-- One of the four costs, by the basis that is asked for. A plain expression, so that the planner puts it in place of
-- the call.
CREATE FUNCTION cost_in(basis text, billed numeric, effective numeric, list numeric, contracted numeric)
RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE basis WHEN 'billed' THEN billed WHEN 'list' THEN list WHEN 'contracted' THEN contracted ELSE effective END;

-- The value of a dimension that rules gave, null where none did: a cost center is that of the team then.
CREATE FUNCTION dimension_value(dimensions jsonb, dimension_name text, cost_center text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(dimensions -> dimension_name ->> 'value', CASE WHEN dimension_name = 'cost_center' THEN cost_center END);

-- Whether a line, or a key of lines, is of a part that figures are made of (`ChargePart` in src/store/charge_filter.rs).
-- Usage that a commitment left unused is no usage; a correction is nothing else, whatever it corrects.
CREATE FUNCTION is_charge_part(
    part text, charge_category text, charge_class text, commitment_discount_status text, pricing_category text
)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE part
    WHEN 'usage' THEN charge_category = 'Usage' AND commitment_discount_status IS DISTINCT FROM 'Unused'
    WHEN 'covered' THEN charge_category = 'Usage' AND commitment_discount_status IS DISTINCT FROM 'Unused'
        AND (commitment_discount_status IS NOT DISTINCT FROM 'Used' OR pricing_category IS NOT DISTINCT FROM 'Committed')
    ELSE part = CASE
        WHEN charge_class = 'Correction' OR charge_category = 'Adjustment' THEN 'corrections'
        WHEN charge_category = 'Credit' THEN 'credits'
        WHEN charge_category = 'Tax' THEN 'tax'
        WHEN charge_category = 'Purchase' OR charge_category = 'Usage' AND commitment_discount_status = 'Unused'
            THEN 'commitments'
        WHEN charge_category = 'Usage' THEN 'used'
        ELSE '' END
    END;

-- What the current generations of a delivery took the place of, past what was taken back since: what going back from
-- it makes current again.
CREATE FUNCTION counted_before(of_delivery_id bigint)
RETURNS TABLE (current_generation_id bigint, generation_id bigint, delivery_id bigint, has_charges boolean)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE before AS (
        SELECT g.generation_id AS start_id, g.replaced_generation_id AS before_id
        FROM generation g WHERE g.delivery_id = of_delivery_id AND g.state = 'current'
        UNION
        SELECT b.start_id, g.replaced_generation_id
        FROM before b JOIN generation g ON g.generation_id = b.before_id
        WHERE g.state = 'withdrawn'
    )
    SELECT b.start_id, g.generation_id, g.delivery_id, g.has_charges
    FROM before b JOIN generation g ON g.generation_id = b.before_id
    WHERE g.state = 'superseded'
$$;

-- The current generations of bills that lack days: the place of the bill in the lists, from 1 on, and the first day
-- without it. The lists are `LackingLists` in src/store/variance_known.rs; an account that lacks days itself goes before
-- its source, since it says of both. A plain query, so that the planner puts it in place of the call.
CREATE FUNCTION lacking_bills(source_ids bigint[], accounts text[], are_whole boolean[], first_days date[])
RETURNS TABLE (generation_id bigint, place bigint, since date)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT DISTINCT ON (own.generation_id) own.generation_id, lack.place, lack.first_day
    FROM unnest(source_ids, accounts, are_whole, first_days)
        WITH ORDINALITY AS lack (source_id, account, is_whole, first_day, place)
    JOIN generation own ON own.source_id = lack.source_id AND own.state = 'current'
        AND (lack.is_whole OR own.billing_account_id = lack.account)
    ORDER BY own.generation_id, lack.is_whole
$$;

-- Each change of what readers see gets a number; a page names the one it was computed from.
CREATE TABLE publication (
    publication_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN
        ('publish', 'accept', 'revert', 'withdraw', 'remap', 'rebuild', 'close', 'reopen', 'split')),
    delivery_id bigint,
    published_at timestamptz NOT NULL,
    published_by text NOT NULL
);

-- What charges with the same attributes share, once for all of them. group_id is the first 128 bits of the
-- SHA-256 over the attributes, so that a loader needs no look-up. `attributes` holds every other column of
-- the file that is not a quantity, a cost or a period, under its FOCUS or x_ name.
CREATE TABLE charge_group (
    sub_account_key integer NOT NULL,
    group_id uuid NOT NULL,
    rollup_key_id uuid NOT NULL,
    resource_id text,
    resource_name text,
    resource_type text,
    charge_description text,
    tags jsonb NOT NULL DEFAULT '{}',
    -- Only shown, never searched: json stays the text that it is.
    attributes json NOT NULL DEFAULT '{}',
    -- With the key of each group: a load asks for it a million times, of a table that is larger than memory.
    PRIMARY KEY (sub_account_key, group_id) INCLUDE (rollup_key_id)
);
CREATE INDEX charge_group_by_rollup_key ON charge_group (rollup_key_id, resource_id);

-- What rollups keep apart and what mapping rules look at. Far fewer than charge groups: a changed rule maps
-- these again and adds up their daily costs, without touching a charge. rollup_key_id is a fingerprint too.
CREATE TABLE rollup_key (
    sub_account_key integer NOT NULL,
    rollup_key_id uuid NOT NULL,
    provider_name text,
    invoice_issuer_name text,
    billing_account_id text NOT NULL,
    sub_account_id text,
    sub_account_name text,
    service_category text,
    service_name text,
    region_id text,
    sku_id text,
    charge_category text,
    charge_class text,
    pricing_category text,
    commitment_discount_status text,
    -- The tags that rules look at (mapping_tag_key), and what they look at of single lines (mapping_detail) with an @
    -- in front.
    mapping_tags jsonb NOT NULL DEFAULT '{}',
    -- False until the rules were asked once; a loader inserts keys and then has them mapped (key_mapping).
    is_mapped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (sub_account_key, rollup_key_id)
);
CREATE INDEX rollup_key_to_map ON rollup_key (rollup_key_id) WHERE NOT is_mapped;

-- One line of a bill. Partitioned by generation: one partition holds one delivery.
CREATE TABLE charge (
    generation_id bigint NOT NULL,
    sub_account_key integer NOT NULL,
    group_id uuid NOT NULL,
    billing_currency text NOT NULL,
    charge_period_start timestamptz NOT NULL,
    charge_period_end timestamptz NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric,
    contracted_cost numeric,
    pricing_quantity numeric,
    consumed_quantity numeric,
    -- Every other quantity and cost of the row under its column's name: an object of strings, NULL where there is
    -- none. As text, because it is only shown: parsing it would cost every row of a load.
    measures text,
    -- 1-based line of the delivered file, so that a figure can be followed down to it.
    line bigint NOT NULL
) PARTITION BY RANGE (generation_id);

-- A line with its group and its charge day: what conditions on lines look at (src/store/charge_conditions.rs).
CREATE VIEW charge_line AS
SELECT c.*, (c.charge_period_start AT TIME ZONE 'UTC')::date AS charge_date, cg.rollup_key_id, cg.resource_id,
    cg.resource_name, cg.resource_type, cg.charge_description, cg.tags, cg.attributes
FROM charge c JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id;

-- Rollup level 2: rollup key by charge day. Costs of absent columns count as zero here and NULL in charge.
CREATE TABLE daily_cost_by_key (
    generation_id bigint NOT NULL,
    sub_account_key integer NOT NULL,
    rollup_key_id uuid NOT NULL,
    charge_date date NOT NULL,
    billing_currency text NOT NULL,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric NOT NULL,
    contracted_cost numeric NOT NULL,
    -- In the unit of the key's SKU; 0 where the lines give none. Tells a price from what was used.
    pricing_quantity numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (generation_id, rollup_key_id, charge_date, billing_currency, sub_account_key)
);

-- Rollup level 1: service by environment by charge day. Kept for superseded generations: the history of figures.
CREATE TABLE daily_cost (
    service_id bigint NOT NULL,
    charge_date date NOT NULL,
    environment_id bigint NOT NULL,
    generation_id bigint NOT NULL,
    provider_name text NOT NULL,
    charge_category text NOT NULL,
    billing_currency text NOT NULL,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric NOT NULL,
    contracted_cost numeric NOT NULL,
    -- 0: the charges' own cost. Else what a split moved, with charge_count 0: negative where it came from.
    split_id bigint NOT NULL DEFAULT 0,
    -- Usage that corrects nothing and that no commitment left unused (`is_charge_part('used', …)`): what estimates are
    -- made from.
    is_used boolean NOT NULL DEFAULT true,
    PRIMARY KEY (service_id, charge_date, environment_id, generation_id, provider_name, charge_category, billing_currency,
        split_id, is_used)
);
CREATE INDEX daily_cost_by_date ON daily_cost (charge_date);
CREATE INDEX daily_cost_by_generation ON daily_cost (generation_id);

-- The same by billing period (the generation's): what an invoice shows.
CREATE TABLE monthly_cost (
    generation_id bigint NOT NULL,
    billing_period_start date NOT NULL,
    service_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    provider_name text NOT NULL,
    charge_category text NOT NULL,
    billing_currency text NOT NULL,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric NOT NULL,
    contracted_cost numeric NOT NULL,
    -- 0: the charges' own cost. Else what a split moved, with charge_count 0: negative where it came from.
    split_id bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (generation_id, service_id, environment_id, provider_name, charge_category, billing_currency,
        split_id)
);
CREATE INDEX monthly_cost_by_period ON monthly_cost (billing_period_start);
