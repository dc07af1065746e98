-- Changes of list prices, worked out once for all that look at them.

-- A SKU in a region whose list price changed on a day by more than half a percent and held on the day after. Worked out
-- anew where other bills count; who buys the SKU is not kept here, so that rules may change.
CREATE TABLE list_price_change (
    provider_name text,
    sku_id text NOT NULL,
    region_id text,
    billing_currency text NOT NULL,
    -- The first day at the new price.
    charge_date date NOT NULL,
    -- ListCost for one PricingUnit.
    price_before numeric NOT NULL,
    price numeric NOT NULL
);
CREATE INDEX list_price_change_by_day ON list_price_change (charge_date);

-- What they were worked out from: the generations that counted. One row.
CREATE TABLE list_price_run (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    generation_ids bigint[] NOT NULL
);

-- Cost that moved between services because resources began to say otherwise whose they are, worked out once for all that
-- look at it.
CREATE TABLE retag_step (
    service_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    billing_currency text NOT NULL,
    -- The first day.
    day date NOT NULL,
    -- The mean of what came, less what went. For estimates only.
    amount_per_day double precision NOT NULL,
    PRIMARY KEY (service_id, environment_id, billing_currency, day)
);

-- The last publication that it was worked out from. One row.
CREATE TABLE retag_run (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    publication_id bigint NOT NULL
);
