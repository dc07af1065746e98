-- A rule for deployments, a pin or another owner gives pages a new number and moves no cost: pages that list what moved
-- figures leave such publications out.
ALTER TABLE publication DROP CONSTRAINT publication_kind_check;
ALTER TABLE publication ADD CONSTRAINT publication_kind_check CHECK (kind IN
    ('publish', 'accept', 'revert', 'withdraw', 'remap', 'catalogue', 'rebuild', 'close', 'reopen', 'split'));
