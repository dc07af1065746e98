-- What an answer said, where that is needed although nothing changed: of a repository its name and branch.
ALTER TABLE event_read_mark ADD COLUMN about jsonb;
