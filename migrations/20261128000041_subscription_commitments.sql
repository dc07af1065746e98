-- Whether a bill of Azure holds lines of commitments (CommitmentDiscountStatus) of a subscription on a day: what is
-- covered is free in an actual export and costs in an amortized one, so that no day of theirs need be the same. From
-- now on such days are kept also where they cost nothing; of bills from before, with their next version or a rebuild.
ALTER TABLE subscription_day ADD COLUMN has_commitment boolean NOT NULL DEFAULT false;

UPDATE subscription_day s SET has_commitment = true
WHERE EXISTS (
    SELECT FROM daily_cost_by_key d JOIN rollup_key k USING (sub_account_key, rollup_key_id)
    WHERE d.generation_id = s.generation_id AND d.charge_date = s.charge_date
      AND d.billing_currency = s.billing_currency
      AND replace(lower(k.sub_account_id), '/subscriptions/', '') = s.subscription
      AND k.commitment_discount_status IN ('Used', 'Unused')
);
