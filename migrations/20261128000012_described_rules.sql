-- The name of the description that a rule came from; NULL where a person made it, or changed it since. What the description
-- says no longer is listed, so that somebody can take such rules away.
ALTER TABLE mapping_rule ADD COLUMN described_by text;

-- Rules that came from a description and are not in it any more, as of the last time that it was read.
ALTER TABLE catalogue_source ADD COLUMN gone_rule_ids bigint[] NOT NULL DEFAULT '{}';
