-- A forecast of a month that is over is made again when bills of the days that it rests on come or change: a hash of the
-- current generations that hold them. Empty for one that was told while its period ran, which is never made again.
--
-- Only what was told before its period was over, or made afterwards of what was there then, says how far the method is
-- off. Forecasts that were worked out while the bills of earlier months were taken in are neither.
ALTER TABLE forecast
    ADD COLUMN rests_on text NOT NULL DEFAULT '',
    ADD COLUMN is_record boolean NOT NULL
        GENERATED ALWAYS AS (is_hindcast OR (computed_at AT TIME ZONE 'UTC')::date <= last_day) STORED;
