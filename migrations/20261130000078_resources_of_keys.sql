-- Which resources rules give to several services is asked of the index alone, which lacked the sub account: a bill of a
-- hundred million lines has ten million groups, and reading them whole took 20 seconds of both cores after each bill.
DROP INDEX charge_group_by_rollup_key;
CREATE INDEX charge_group_by_rollup_key ON charge_group (rollup_key_id, resource_id, sub_account_key);
