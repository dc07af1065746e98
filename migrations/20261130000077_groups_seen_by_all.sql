-- A load asks the index of charge groups for each group that it meets. The index alone answers for rows that vacuum has
-- marked as seen by all; for the others the table's page is fetched as well, 24 µs each where it is in no buffer. By
-- default vacuum comes after a fifth of all rows is new, which are two months of bills where ten are there: it comes
-- after a fiftieth now. It passes over pages that it has marked already, and of a table that rows are only added to it
-- leaves the indexes alone.
ALTER TABLE charge_group SET (autovacuum_vacuum_insert_scale_factor = 0.02);
