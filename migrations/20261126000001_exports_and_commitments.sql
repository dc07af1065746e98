-- An Azure bill comes as an export of its actual cost and one of its amortized cost, each a delivery of its own. Which of
-- them the lines of a generation hold: one row where it is that export alone, two where both are joined, none where the
-- file does not tell or is no such bill. Each side is ordered by its own version: a newer amortized export is no reason
-- to refuse an actual one.
CREATE TABLE joined_export (
    generation_id bigint NOT NULL REFERENCES generation ON DELETE CASCADE,
    side text NOT NULL CHECK (side IN ('actual', 'amortized')),
    delivery_id bigint NOT NULL REFERENCES delivery,
    version_at timestamptz NOT NULL,
    PRIMARY KEY (generation_id, side)
);
CREATE INDEX joined_export_by_delivery ON joined_export (delivery_id);

-- What a bill of Azure holds of each subscription (in lower case and without its path) by charge day, but for days of
-- which both costs are zero: bills of two billing accounts that have such days in common are the same cost. Written with
-- the generation, whose lines never change.
CREATE TABLE subscription_day (
    generation_id bigint NOT NULL REFERENCES generation ON DELETE CASCADE,
    subscription text NOT NULL,
    billing_currency text NOT NULL,
    charge_date date NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL
);
CREATE INDEX subscription_day_by_generation ON subscription_day (generation_id);

-- What a rollup key costs on a day, with whose it is: what is asked of commitments. Usage is covered where a commitment
-- pays for it; what was left unused is no usage.
CREATE VIEW commitment_day AS
SELECT d.charge_date, d.billing_currency, d.billed_cost, d.effective_cost, d.list_cost, k.provider_name, k.service_name,
    k.sub_account_id, k.sub_account_name, k.charge_category, k.commitment_discount_status,
    k.mapping_tags ->> '@column:CommitmentDiscountId' AS commitment_id,
    is_charge_part('usage', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
        AS is_usage,
    is_charge_part('covered', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
        AS is_covered,
    m.service_id, service.team_id, service.slug, service.name
FROM daily_cost_by_key d
JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
    AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
LEFT JOIN service ON service.service_id = m.service_id;

-- What commitments cover: providers' services of which some bill tells usage under commitment. Coverage is measured
-- against all their usage, on whatever days are asked about, so that the days of a month add up to the month.
CREATE VIEW committed_service AS
SELECT DISTINCT coalesce(provider_name, '') AS provider_name, coalesce(service_name, '') AS service_name
FROM rollup_key
WHERE is_charge_part('covered', charge_category, charge_class, commitment_discount_status, pricing_category);
