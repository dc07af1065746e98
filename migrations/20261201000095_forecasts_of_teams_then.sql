-- The services that a team had when its forecast was made: what came is told of them, so that a service that moves to
-- another team makes no earlier forecast of either wrong. Services that were made since have a higher id than the newest
-- one then; they count where they are now. Of forecasts of earlier versions the services of now are the best that is known.
ALTER TABLE forecast
    ADD COLUMN service_ids bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN newest_service_id bigint NOT NULL DEFAULT 0;

UPDATE forecast f
SET service_ids = owned.service_ids, newest_service_id = (SELECT coalesce(max(service_id), 0) FROM service)
FROM (
    SELECT team_id, array_agg(service_id) AS service_ids
    FROM (
        SELECT coalesce(team_id, 0) AS team_id, service_id FROM service
        UNION ALL
        -- What no rule gives to a service.
        SELECT 0, 0
    ) one
    GROUP BY 1
) owned
WHERE f.scope = 'team' AND f.scope_id = owned.team_id;
