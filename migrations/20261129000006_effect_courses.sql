-- How the effect of an answer lies over the days: its amount on each of the 14 days after the release, and on each day
-- from then on. Estimates, units of the currency. NULL where there is no effect, and of answers from before these
-- columns, which count the same amount on all days after the release.
ALTER TABLE deployment_effect
    ADD COLUMN amounts_after numeric[],
    ADD COLUMN lasting_per_day numeric,
    ADD CHECK (num_nulls(amounts_after, lasting_per_day) IN (0, 2));

CREATE OR REPLACE VIEW current_deployment_effect AS
SELECT * FROM deployment_effect e
WHERE NOT EXISTS (
    SELECT FROM deployment_effect later
    WHERE later.deployment_id = e.deployment_id AND later.service_id = e.service_id
      AND later.environment_id = e.environment_id AND later.billing_currency = e.billing_currency
      AND later.deployment_effect_id > e.deployment_effect_id
);
