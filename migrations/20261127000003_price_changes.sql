-- What is worked out once for all analyses that look at it: changes of prices, cost that moved with tags, and the hours
-- in which cost usually arises.

-- What each was made from last, by ids: prices from the generations that counted, retags from the publication.
CREATE TABLE shared_analysis (
    analysis text PRIMARY KEY CHECK (analysis IN ('prices', 'retags')),
    made_from bigint[] NOT NULL
);

-- A SKU in a region whose price for a billing account changed on a day by more than half a percent and held on the day
-- after. Worked out anew where other bills count; who buys the SKU is not kept here, so that rules may change.
CREATE TABLE price_change (
    -- False: the list price changed. True: it did not, but what was negotiated did.
    is_contracted boolean NOT NULL,
    billing_account_id text NOT NULL,
    provider_name text,
    sku_id text NOT NULL,
    region_id text,
    billing_currency text NOT NULL,
    -- The first day at the new price.
    charge_date date NOT NULL,
    -- ListCost, or ContractedCost without commitments, for one PricingUnit.
    price_before numeric NOT NULL,
    price numeric NOT NULL
);
CREATE INDEX price_change_by_day ON price_change (charge_date);

-- Cost that moved between services because resources began to say otherwise whose they are.
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

-- In which hours of a day the cost of a service usually arises, for each day on which something was released to it and
-- that bills by the hour tell something of. Shares, no amounts: a bill that is taken back leaves none behind.
CREATE TABLE release_hours (
    service_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    billing_currency text NOT NULL,
    -- The day of the release, UTC. The same weekday of the four weeks before says what is usual.
    day date NOT NULL,
    -- A digest of what those days cost, and of how many lines: lines are read again only where it is another.
    made_from text NOT NULL,
    -- The share of each hour from midnight on; they add up to 1. Empty where those days are not charged by the hour.
    hours double precision[] NOT NULL CHECK (cardinality(hours) IN (0, 24)),
    PRIMARY KEY (service_id, environment_id, billing_currency, day)
);
