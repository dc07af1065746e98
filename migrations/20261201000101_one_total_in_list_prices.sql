-- In prices before commitments every total leaves out what was bought for commitments, as statements do
-- (20261201000092_statement_cells.sql): it is in the cost of what uses it already.

-- Whether the lines of a key are such purchases. Null where the key names no category: ask with IS TRUE.
CREATE FUNCTION is_commitment_purchase(charge_category text, mapping_tags jsonb)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN charge_category = 'Purchase' AND (mapping_tags ->> '@column:CommitmentDiscountId') IS NOT NULL;

-- As before, and which split moved it.
CREATE OR REPLACE VIEW commitment_purchase AS
SELECT g.generation_id, g.state, g.source_id, g.billing_account_id, g.billing_period_start, d.charge_date,
       coalesce(k.charge_class, '') = 'Correction' AS is_correction, false AS is_shared, m.service_id, m.environment_id,
       coalesce(k.provider_name, '') AS provider_name, k.charge_category, d.billing_currency, d.list_cost,
       d.contracted_cost, 0::bigint AS split_id
FROM rollup_key k
JOIN daily_cost_by_key d ON d.sub_account_key = k.sub_account_key AND d.rollup_key_id = k.rollup_key_id
JOIN generation g ON g.generation_id = d.generation_id
JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
    AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
WHERE is_commitment_purchase(k.charge_category, k.mapping_tags)
UNION ALL
SELECT g.generation_id, g.state, g.source_id, g.billing_account_id, g.billing_period_start, d.charge_date,
       false, true, d.service_id, d.environment_id, d.provider_name, d.charge_category, d.billing_currency, d.list_cost,
       d.contracted_cost, d.split_id
FROM daily_cost d
JOIN generation g ON g.generation_id = d.generation_id
WHERE d.split_id <> 0 AND d.charge_category = 'Purchase'
  AND EXISTS (SELECT FROM daily_cost_by_key b
              JOIN rollup_key k ON k.sub_account_key = b.sub_account_key AND k.rollup_key_id = b.rollup_key_id
              WHERE b.generation_id = d.generation_id AND b.charge_date = d.charge_date
                AND b.billing_currency = d.billing_currency AND coalesce(k.provider_name, '') = d.provider_name
                AND is_commitment_purchase(k.charge_category, k.mapping_tags));

-- What sums by charge day are made of: `daily_cost`, whose columns it has, in prices before commitments with what was
-- bought for commitments taken off where it lies. In other prices nothing is looked for (a filter that is asked once).
-- The lines behind it are counted, whatever they add. Of bills that were replaced nothing is taken off.
CREATE FUNCTION daily_cell(is_before_commitments boolean)
RETURNS TABLE (
    service_id bigint, charge_date date, environment_id bigint, generation_id bigint, provider_name text,
    charge_category text, billing_currency text, charge_count bigint, billed_cost numeric, effective_cost numeric,
    list_cost numeric, contracted_cost numeric, split_id bigint, is_used boolean
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT c.service_id, c.charge_date, c.environment_id, c.generation_id, c.provider_name, c.charge_category,
       c.billing_currency, c.charge_count, c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost, c.split_id,
       c.is_used
FROM daily_cost c
UNION ALL
SELECT p.service_id, p.charge_date, p.environment_id, p.generation_id, p.provider_name, p.charge_category,
       p.billing_currency, 0::bigint, 0::numeric, 0::numeric, -p.list_cost, -p.contracted_cost, p.split_id, false
FROM commitment_purchase p WHERE p.state = 'current' AND is_before_commitments
$$;

-- What statements say by charge day, of current bills, with the names and owners of now.
CREATE FUNCTION charged_cell(is_before_commitments boolean)
RETURNS TABLE (
    charge_date date, billing_period_start date, service_id bigint, service_slug text, service_name text,
    team_id bigint, team_slug text, team_name text, cost_center text, environment_id bigint, environment_slug text,
    environment_name text, provider_name text, charge_category text, billing_currency text, charge_count bigint,
    billed_cost numeric, effective_cost numeric, list_cost numeric, contracted_cost numeric
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT d.charge_date, g.billing_period_start, d.service_id, service.slug, service.name,
       service.team_id, team.slug, team.name, team.cost_center, d.environment_id, environment.slug,
       environment.name, d.provider_name, d.charge_category, d.billing_currency, d.charge_count,
       d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost
FROM daily_cell(is_before_commitments) d
JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
LEFT JOIN service ON service.service_id = d.service_id
LEFT JOIN team ON team.team_id = service.team_id
LEFT JOIN environment ON environment.environment_id = d.environment_id
$$;
