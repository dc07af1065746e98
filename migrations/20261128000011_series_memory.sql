-- The last values of each OTLP series, so that one that comes late is told from one that comes twice, and processes of
-- equal attributes that count at the same time are told apart: [[start, end, value]], times in microseconds since 1970,
-- null for a start that is not known. started_at, last_at and last_value are those of the newest.
ALTER TABLE otlp_series ADD COLUMN recent jsonb NOT NULL DEFAULT '[]';

-- What is known already goes on: without it a running count would begin anew, and what came since would be lost.
UPDATE otlp_series SET recent = jsonb_build_array(jsonb_build_array(
    (extract(epoch FROM started_at) * 1000000)::bigint, (extract(epoch FROM last_at) * 1000000)::bigint,
    last_value::text));

ALTER TABLE usage_unmapped DROP CONSTRAINT usage_unmapped_reason_check;
ALTER TABLE usage_unmapped ADD CONSTRAINT usage_unmapped_reason_check
    CHECK (reason IN ('metric', 'service', 'environment', 'kind', 'value', 'late'));
