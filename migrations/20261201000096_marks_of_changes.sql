-- Estimates are made anew where something that they read changed, which is asked every few seconds.
--
-- Values by day that went away, or were made from their hours in another way, leave no later row: whoever changes values
-- by day counts that here, as the last thing before the commit, so that nobody waits for the row. One row.
CREATE TABLE usage_change (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    change_count bigint NOT NULL
);
INSERT INTO usage_change (change_count) VALUES (0);
-- Nothing asks for the newest value any more.
DROP INDEX metric_point_by_load;

-- What people said of anomalies, among all that happened to them.
CREATE INDEX anomaly_event_of_people ON anomaly_event (anomaly_event_id) WHERE done_by <> '';

-- The few answers that claim a change.
CREATE INDEX deployment_effect_claims ON deployment_effect (deployment_id, service_id)
    WHERE finding IN ('increase', 'decrease');
