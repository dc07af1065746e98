-- What each answer about a deployment rests on, part by part, so that a later one can say which of them is another: a
-- fingerprint each of cost, traffic, replicas, other services, releases, prices, notes, calibration and method, with the
-- days they are of; and the answer that moves are measured against, so that many small ones are seen. Empty for answers
-- from before this column.
ALTER TABLE deployment_effect ADD COLUMN parts jsonb NOT NULL DEFAULT '{}';

CREATE OR REPLACE VIEW current_deployment_effect AS
SELECT * FROM deployment_effect e
WHERE NOT EXISTS (
    SELECT FROM deployment_effect later
    WHERE later.deployment_id = e.deployment_id AND later.service_id = e.service_id
      AND later.environment_id = e.environment_id AND later.billing_currency = e.billing_currency
      AND later.deployment_effect_id > e.deployment_effect_id
);
