-- Complete days of a period that lack a bill are no days without cost: what is expected of them, a part of `incomplete`.
ALTER TABLE forecast ADD COLUMN late numeric NOT NULL DEFAULT 0;
-- By how much the interval is wider than errors on the past alone say, because earlier intervals held less than they were
-- meant to.
ALTER TABLE forecast ADD COLUMN widening double precision NOT NULL DEFAULT 1 CHECK (widening >= 1);
