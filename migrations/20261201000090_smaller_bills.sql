-- What is to be checked of a bill that is much smaller than the one whose place it took: a file that was cut off looks
-- like this. A sentence without amounts; NULL where there is nothing to say.
ALTER TABLE generation ADD COLUMN size_note text;
