-- What statements say. In prices before commitments (`CostBasis::is_before_commitments` in src/focus/basis.rs) they
-- leave out what was bought for commitments: whoever asks says whether the price is one. These are functions and no
-- views, because purchases are then not even looked for in other prices. Each is a plain query, so that the planner puts
-- it in place of the call, and conditions on bills and days reach the indexes.

-- By billing period: current bills, and closed months as they were at closing.
CREATE FUNCTION statement_cell(is_before_commitments boolean) RETURNS SETOF statement_cost
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT * FROM statement_cost
UNION ALL
SELECT * FROM statement_left_out WHERE is_before_commitments
$$;

-- By bill, of bills that were replaced too, which leave nothing out.
CREATE FUNCTION bill_cell(is_before_commitments boolean)
RETURNS TABLE (
    generation_id bigint, billing_period_start date, service_id bigint, billing_currency text, charge_count bigint,
    billed_cost numeric, effective_cost numeric, list_cost numeric, contracted_cost numeric, is_left_out boolean
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
SELECT m.generation_id, m.billing_period_start, m.service_id, m.billing_currency, m.charge_count,
       m.billed_cost, m.effective_cost, m.list_cost, m.contracted_cost, false
FROM monthly_cost m
UNION ALL
SELECT p.generation_id, p.billing_period_start, p.service_id, p.billing_currency, 0::bigint,
       0::numeric, 0::numeric, -p.list_cost, -p.contracted_cost, true
FROM commitment_purchase p WHERE p.state = 'current' AND is_before_commitments
$$;

-- What is booked to months for closed ones and counts: not that of months that were reopened. In list and contracted
-- prices without what was bought for commitments.
CREATE VIEW booked_adjustment AS
SELECT a.adjustment_id, k.month AS closed_month, a.booked_month, a.publication_id, a.delivery_id,
       source.name AS source_name, a.billing_account_id, a.billing_currency, a.booked_at, a.charge_count, a.billed_cost,
       a.effective_cost, a.list_cost - a.commitment_list_cost AS list_cost,
       a.contracted_cost - a.commitment_contracted_cost AS contracted_cost
FROM month_adjustment a
JOIN month_closing k ON k.closing_id = a.closing_id AND k.reopened_at IS NULL
JOIN source ON source.source_id = a.source_id;
