-- What an effect adds up to in 30 days, with its interval: the days asked, and the others at what of it lasts. Estimates,
-- units of the currency. NULL where there is no effect, and of answers from before these columns.
ALTER TABLE deployment_effect
    ADD COLUMN per_30_days numeric,
    ADD COLUMN per_30_days_low numeric,
    ADD COLUMN per_30_days_high numeric,
    ADD CHECK (num_nulls(per_30_days, per_30_days_low, per_30_days_high) IN (0, 3));

CREATE OR REPLACE VIEW current_deployment_effect AS
SELECT * FROM deployment_effect e
WHERE NOT EXISTS (
    SELECT FROM deployment_effect later
    WHERE later.deployment_id = e.deployment_id AND later.service_id = e.service_id
      AND later.environment_id = e.environment_id AND later.billing_currency = e.billing_currency
      AND later.deployment_effect_id > e.deployment_effect_id
);

-- What tags moved is the mean of the first week from now on, no longer of all days since: to be worked out once more.
DELETE FROM shared_analysis WHERE analysis = 'retags';
