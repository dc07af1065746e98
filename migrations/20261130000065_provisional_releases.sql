-- Releases whose answers claim a change and are still provisional when a forecast is made: its level does not start anew
-- at them. How many there are, and what those that raise cost and those that lower it move a day together, in units of the
-- currency.
ALTER TABLE forecast
    ADD COLUMN provisional_count integer NOT NULL DEFAULT 0,
    ADD COLUMN provisional_up_per_day numeric NOT NULL DEFAULT 0 CHECK (provisional_up_per_day >= 0),
    ADD COLUMN provisional_down_per_day numeric NOT NULL DEFAULT 0 CHECK (provisional_down_per_day <= 0);
