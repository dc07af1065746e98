-- Bodies of webhooks are packed while their sender waits. lz4 does it in less time than
-- PostgreSQL's own way, where the server was built with it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE event_delivery ALTER COLUMN body SET COMPRESSION lz4;
    END IF;
END
$$;
