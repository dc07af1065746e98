-- Whether a reading was added that the value of its day lacks: the job that makes days takes these. Clocks do not decide
-- about it, of which each server has its own.
ALTER TABLE metric_hour ADD COLUMN is_late boolean NOT NULL DEFAULT false;
CREATE INDEX metric_hour_late ON metric_hour (metric) WHERE is_late;
-- Days that are not what their hours make, which clocks left out or nobody has made yet.
UPDATE metric_hour h SET is_late = true
FROM (SELECT k.metric, k.service_id, k.environment_id, (k.hour AT TIME ZONE 'UTC')::date AS charge_date,
             count(*) AS hour_count,
             CASE m.over_hours WHEN 'mean' THEN avg(k.value) WHEN 'max' THEN max(k.value) ELSE sum(k.value) END AS value
      FROM metric_hour k JOIN metric m USING (metric) GROUP BY 1, 2, 3, 4, m.over_hours) d
LEFT JOIN metric_point p ON p.metric = d.metric AND p.service_id = d.service_id
    AND p.environment_id = d.environment_id AND p.charge_date = d.charge_date
WHERE h.metric = d.metric AND h.service_id = d.service_id AND h.environment_id = d.environment_id
    AND (h.hour AT TIME ZONE 'UTC')::date = d.charge_date
    AND (p.metric IS NULL OR p.value <> d.value OR p.hour_count IS DISTINCT FROM d.hour_count);
INSERT INTO job (kind, key, payload, state)
SELECT 'make_usage_days', '', '{}', 'waiting' WHERE EXISTS (SELECT FROM metric_hour WHERE is_late)
ON CONFLICT (kind, key) WHERE state IN ('waiting', 'running') DO NOTHING;
