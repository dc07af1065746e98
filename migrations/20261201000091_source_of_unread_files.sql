-- A file that could not be read told no source. It belongs to the one that it was handed in for, so that its page shows it.
UPDATE delivery d SET source_id = s.source_id
FROM source s
WHERE d.source_id IS NULL AND s.name = d.named_source AND d.state IN ('refused', 'failed');
