-- What is bought for commitments is in the list and contracted cost of what uses it already (FOCUS, ListCost and
-- ContractedCost): statements in these prices leave it out. Billed and amortized cost have it as before.
CREATE INDEX rollup_key_of_purchases ON rollup_key (rollup_key_id) WHERE charge_category = 'Purchase';

-- By the owner that the rules name. What splits moved of it is part of it, so that nothing of it stays with anybody: the
-- rows of a split do not tell what kind of purchase they moved, so that on such a day all that was bought from the
-- provider stays undivided.
CREATE VIEW commitment_purchase AS
SELECT g.generation_id, g.state, g.source_id, g.billing_account_id, g.billing_period_start, d.charge_date,
       coalesce(k.charge_class, '') = 'Correction' AS is_correction, false AS is_shared, m.service_id, m.environment_id,
       coalesce(k.provider_name, '') AS provider_name, k.charge_category, d.billing_currency, d.list_cost,
       d.contracted_cost
FROM rollup_key k
JOIN daily_cost_by_key d ON d.sub_account_key = k.sub_account_key AND d.rollup_key_id = k.rollup_key_id
JOIN generation g ON g.generation_id = d.generation_id
JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
    AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
WHERE k.charge_category = 'Purchase' AND (k.mapping_tags ->> '@column:CommitmentDiscountId') IS NOT NULL
UNION ALL
SELECT g.generation_id, g.state, g.source_id, g.billing_account_id, g.billing_period_start, d.charge_date,
       false, true, d.service_id, d.environment_id, d.provider_name, d.charge_category, d.billing_currency, d.list_cost,
       d.contracted_cost
FROM daily_cost d
JOIN generation g ON g.generation_id = d.generation_id
WHERE d.split_id <> 0 AND d.charge_category = 'Purchase'
  AND EXISTS (SELECT FROM daily_cost_by_key b
              JOIN rollup_key k ON k.sub_account_key = b.sub_account_key AND k.rollup_key_id = b.rollup_key_id
              WHERE b.generation_id = d.generation_id AND b.charge_date = d.charge_date
                AND b.billing_currency = d.billing_currency AND coalesce(k.provider_name, '') = d.provider_name
                AND k.charge_category = 'Purchase'
                AND (k.mapping_tags ->> '@column:CommitmentDiscountId') IS NOT NULL);

-- Of the list and contracted cost of a closed month, what was bought for commitments: as it was at closing too. Of months
-- that are closed already, what their bills say now.
ALTER TABLE closed_cost
    ADD COLUMN commitment_list_cost numeric NOT NULL DEFAULT 0,
    ADD COLUMN commitment_contracted_cost numeric NOT NULL DEFAULT 0;

UPDATE closed_cost c
SET commitment_list_cost = p.list_cost, commitment_contracted_cost = p.contracted_cost
FROM (SELECT k.closing_id, b.source_id, b.billing_account_id, b.service_id, b.environment_id, b.provider_name,
             b.charge_category, b.billing_currency, sum(b.list_cost) AS list_cost,
             sum(b.contracted_cost) AS contracted_cost
      FROM month_closing k
      JOIN commitment_purchase b ON b.state = 'current'
          AND date_trunc('month', b.billing_period_start::timestamp)::date = k.month
      WHERE k.reopened_at IS NULL
      GROUP BY 1, 2, 3, 4, 5, 6, 7, 8) p
WHERE c.closing_id = p.closing_id AND c.source_id = p.source_id AND c.billing_account_id = p.billing_account_id
  AND c.service_id = p.service_id AND c.environment_id = p.environment_id AND c.provider_name = p.provider_name
  AND c.charge_category = p.charge_category AND c.billing_currency = p.billing_currency;

-- The same of what arrives late for a closed month. What is booked already keeps what it said.
ALTER TABLE month_adjustment
    ADD COLUMN commitment_list_cost numeric NOT NULL DEFAULT 0,
    ADD COLUMN commitment_contracted_cost numeric NOT NULL DEFAULT 0;

-- Added to `statement_cost`, whose columns it has, it leaves them out.
CREATE VIEW statement_left_out AS
SELECT date_trunc('month', p.billing_period_start::timestamp)::date AS month,
       p.service_id, service.slug AS service_slug, service.name AS service_name,
       team.team_id, team.slug AS team_slug, team.name AS team_name, team.cost_center,
       p.environment_id, environment.slug AS environment_slug, environment.name AS environment_name,
       p.provider_name, p.charge_category, p.billing_currency, 0::bigint AS charge_count,
       0::numeric AS billed_cost, 0::numeric AS effective_cost, -p.list_cost AS list_cost,
       -p.contracted_cost AS contracted_cost
FROM commitment_purchase p
LEFT JOIN service ON service.service_id = p.service_id
LEFT JOIN team ON team.team_id = service.team_id
LEFT JOIN environment ON environment.environment_id = p.environment_id
WHERE p.state = 'current'
  AND NOT EXISTS (SELECT FROM month_closing k
                  WHERE k.reopened_at IS NULL
                    AND k.month = date_trunc('month', p.billing_period_start::timestamp)::date)
UNION ALL
SELECT k.month, c.service_id, service.slug, c.service_name,
       c.team_id, team.slug, c.team_name, c.cost_center,
       c.environment_id, environment.slug, c.environment_name,
       c.provider_name, c.charge_category, c.billing_currency, 0::bigint,
       0::numeric, 0::numeric, -c.commitment_list_cost, -c.commitment_contracted_cost
FROM closed_cost c
JOIN month_closing k ON k.closing_id = c.closing_id AND k.reopened_at IS NULL
LEFT JOIN service ON service.service_id = c.service_id
LEFT JOIN team ON team.team_id = c.team_id
LEFT JOIN environment ON environment.environment_id = c.environment_id
WHERE (c.commitment_list_cost, c.commitment_contracted_cost) <> (0, 0);
