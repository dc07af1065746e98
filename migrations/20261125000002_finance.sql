-- Finance: the reporting currency and its rates, closed months and what arrives late for them, invoices, and what
-- bills said at each delivery.

-- The currency that figures are also shown in. No row: every figure stands in its bill's own currency only.
CREATE TABLE reporting_currency (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL
);

-- Reference rates of a market as they were published: units of a currency for one euro, the euro's own 1 included, so
-- that a rate between two currencies is one division.
CREATE TABLE market_rate (
    currency text NOT NULL,
    rate_date date NOT NULL,
    units_per_euro numeric NOT NULL CHECK (units_per_euro > 0),
    PRIMARY KEY (currency, rate_date)
);
CREATE INDEX market_rate_by_date ON market_rate (rate_date);

-- A rate that someone entered for a billing month. It stands before every market rate.
CREATE TABLE entered_rate (
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    billing_currency text NOT NULL CHECK (billing_currency <> ''),
    reporting_currency text NOT NULL CHECK (reporting_currency <> billing_currency),
    -- Units of the reporting currency for one of the billing currency.
    rate numeric NOT NULL CHECK (rate > 0),
    reason text NOT NULL CHECK (reason <> ''),
    entered_at timestamptz NOT NULL,
    entered_by text NOT NULL,
    PRIMARY KEY (month, billing_currency, reporting_currency)
);

-- A billing month that finance closed. Reopening ends the closing; closing again makes another one.
CREATE TABLE month_closing (
    closing_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    closed_at timestamptz NOT NULL,
    closed_by text NOT NULL,
    close_reason text NOT NULL CHECK (close_reason <> ''),
    -- The last publication that the closed figures include.
    publication_id bigint NOT NULL,
    reopened_at timestamptz,
    reopened_by text,
    reopen_reason text,
    CHECK ((reopened_at IS NULL) = (reopened_by IS NULL) AND (reopened_at IS NULL) = (reopen_reason IS NULL))
);
CREATE UNIQUE INDEX month_closing_now ON month_closing (month) WHERE reopened_at IS NULL;

-- The figures of a month as they were when it was closed, with the names that they went by: neither a late delivery
-- nor a changed rule, owner or name alters them.
CREATE TABLE closed_cost (
    closing_id bigint NOT NULL REFERENCES month_closing,
    source_id bigint NOT NULL,
    billing_account_id text NOT NULL,
    service_id bigint NOT NULL,
    service_name text,
    team_id bigint,
    team_name text,
    cost_center text,
    environment_id bigint NOT NULL,
    environment_name text,
    provider_name text NOT NULL,
    charge_category text NOT NULL,
    billing_currency text NOT NULL,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric NOT NULL,
    contracted_cost numeric NOT NULL,
    PRIMARY KEY (closing_id, source_id, billing_account_id, service_id, environment_id, provider_name, charge_category,
        billing_currency)
);

-- The rates of a month as they were when it was closed. While it is closed, what they come from cannot change; the
-- proof compares both.
CREATE TABLE closed_rate (
    closing_id bigint NOT NULL REFERENCES month_closing,
    billing_currency text NOT NULL,
    reporting_currency text NOT NULL,
    rate numeric NOT NULL,
    PRIMARY KEY (closing_id, billing_currency, reporting_currency)
);

-- What a publication changed in the bills of a closed month, booked to a month that was open. Never changed; it ends
-- to count when the closed month is reopened, because then that month shows it itself.
CREATE TABLE month_adjustment (
    adjustment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    closing_id bigint NOT NULL REFERENCES month_closing,
    booked_month date NOT NULL CHECK (extract(day FROM booked_month) = 1),
    publication_id bigint NOT NULL,
    delivery_id bigint,
    source_id bigint NOT NULL,
    billing_account_id text NOT NULL,
    billing_currency text NOT NULL,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric NOT NULL,
    contracted_cost numeric NOT NULL,
    booked_at timestamptz NOT NULL,
    UNIQUE (closing_id, publication_id, source_id, billing_account_id, billing_currency)
);
CREATE INDEX month_adjustment_by_month ON month_adjustment (booked_month);

-- What a statement by billing period is made of: current bills, and for closed months what they were at closing.
CREATE VIEW statement_cost AS
SELECT date_trunc('month', m.billing_period_start::timestamp)::date AS month,
       m.service_id, service.slug AS service_slug, service.name AS service_name,
       team.team_id, team.slug AS team_slug, team.name AS team_name, team.cost_center,
       m.environment_id, environment.slug AS environment_slug, environment.name AS environment_name,
       m.provider_name, m.charge_category, m.billing_currency, m.charge_count,
       m.billed_cost, m.effective_cost, m.list_cost, m.contracted_cost
FROM monthly_cost m
JOIN generation g ON g.generation_id = m.generation_id AND g.state = 'current'
LEFT JOIN service ON service.service_id = m.service_id
LEFT JOIN team ON team.team_id = service.team_id
LEFT JOIN environment ON environment.environment_id = m.environment_id
WHERE NOT EXISTS (SELECT FROM month_closing k
                  WHERE k.reopened_at IS NULL
                    AND k.month = date_trunc('month', m.billing_period_start::timestamp)::date)
UNION ALL
SELECT k.month, c.service_id, service.slug, c.service_name,
       c.team_id, team.slug, c.team_name, c.cost_center,
       c.environment_id, environment.slug, c.environment_name,
       c.provider_name, c.charge_category, c.billing_currency, c.charge_count,
       c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost
FROM closed_cost c
JOIN month_closing k ON k.closing_id = c.closing_id AND k.reopened_at IS NULL
LEFT JOIN service ON service.service_id = c.service_id
LEFT JOIN team ON team.team_id = c.team_id
LEFT JOIN environment ON environment.environment_id = c.environment_id;

-- What the lines of a generation add up to by invoice, counted while its file was read. Lines without an InvoiceId
-- are there under ''. It stays with the generation, also when its lines are dropped.
CREATE TABLE invoice_cost (
    generation_id bigint NOT NULL REFERENCES generation ON DELETE CASCADE,
    invoice_id text NOT NULL,
    invoice_issuer_name text NOT NULL,
    billing_currency text NOT NULL,
    charge_count bigint NOT NULL,
    billed_cost numeric NOT NULL,
    PRIMARY KEY (generation_id, invoice_id, invoice_issuer_name, billing_currency)
);
CREATE INDEX invoice_cost_by_invoice ON invoice_cost (invoice_id);

-- What an invoice says it totals: entered, imported, or added up from FOCUS InvoiceDetail.
CREATE TABLE invoice (
    invoice_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id text NOT NULL CHECK (invoice_id <> ''),
    invoice_issuer_name text NOT NULL,
    billing_currency text NOT NULL CHECK (billing_currency <> ''),
    billed_cost numeric NOT NULL,
    -- First day of the billing month, where it is known.
    month date CHECK (extract(day FROM month) = 1),
    issue_date date,
    due_date date,
    issue_status text NOT NULL CHECK (issue_status IN ('Open', 'Issued', 'Voided')),
    origin text NOT NULL CHECK (origin IN ('entered', 'imported', 'invoice detail')),
    -- Lines of InvoiceDetail that make the total.
    detail_count bigint,
    recorded_at timestamptz NOT NULL,
    recorded_by text NOT NULL
);
-- People write an issuer in any letter case.
CREATE UNIQUE INDEX invoice_by_name ON invoice (invoice_id, lower(btrim(invoice_issuer_name)), billing_currency);

-- From which publication to which (not included) a generation counted: what bills said at each delivery.
CREATE TABLE counted_span (
    generation_id bigint NOT NULL REFERENCES generation ON DELETE CASCADE,
    first_publication_id bigint NOT NULL,
    -- NULL while it counts.
    end_publication_id bigint,
    PRIMARY KEY (generation_id, first_publication_id),
    CHECK (end_publication_id > first_publication_id)
);
CREATE INDEX counted_span_now ON counted_span (generation_id) WHERE end_publication_id IS NULL;

-- The publication that a person saw on a page when they looked at it last. A visit lasts: what was restated before it
-- is shown until it ends.
CREATE TABLE page_visit (
    user_id bigint NOT NULL REFERENCES user_account ON DELETE CASCADE,
    page text NOT NULL,
    -- Seen in the visit before this one.
    seen_publication_id bigint NOT NULL,
    seen_at timestamptz NOT NULL,
    -- Seen in this one.
    latest_publication_id bigint NOT NULL,
    latest_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, page)
);

-- How much of a day's final cost a source's bills hold after so many days: the median over its history.
CREATE TABLE source_completeness (
    source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,
    age_days integer NOT NULL CHECK (age_days >= 0),
    -- Not money: 1 is all of it.
    median_share double precision NOT NULL,
    day_count bigint NOT NULL,
    PRIMARY KEY (source_id, age_days)
);

-- After how many days a source's days are taken for complete, where its history tells.
CREATE TABLE source_settling (
    source_id bigint PRIMARY KEY REFERENCES source ON DELETE CASCADE,
    settles_after_days integer NOT NULL CHECK (settles_after_days >= 0)
);

-- What generations of closed months that are loaded aside say, and with the other sign what counts there now: where
-- all sums by key and day are zero, counting them changes nothing.
CREATE VIEW late_side AS
SELECT k.month, g.delivery_id, g.generation_id, d.sub_account_key, d.rollup_key_id, d.charge_date, d.billing_currency,
       d.charge_count, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost
FROM generation g
JOIN month_closing k ON k.reopened_at IS NULL
    AND k.month = date_trunc('month', g.billing_period_start::timestamp)::date
JOIN daily_cost_by_key d ON d.generation_id = g.generation_id
WHERE g.state = 'ready'
UNION ALL
SELECT k.month, g.delivery_id, g.generation_id, d.sub_account_key, d.rollup_key_id, d.charge_date, d.billing_currency,
       -d.charge_count, -d.billed_cost, -d.effective_cost, -d.list_cost, -d.contracted_cost
FROM generation g
JOIN month_closing k ON k.reopened_at IS NULL
    AND k.month = date_trunc('month', g.billing_period_start::timestamp)::date
JOIN generation c ON c.source_id = g.source_id AND c.billing_account_id = g.billing_account_id
    AND c.billing_period_start = g.billing_period_start AND c.append_object = g.append_object AND c.state = 'current'
JOIN daily_cost_by_key d ON d.generation_id = c.generation_id
WHERE g.state = 'ready';
