-- Payloads of OpenShift's operator. A large one comes as several archives, each with some of its files, and all name the
-- same payload and all of its files.
ALTER TABLE cluster_report
    -- NULL where the report is no part of a payload.
    ADD COLUMN payload_uuid text,
    ADD COLUMN payload_file_count smallint,
    -- Those that this archive has, by their places in the order of their names.
    ADD COLUMN payload_files smallint[] NOT NULL DEFAULT '{}',
    ADD CHECK (num_nulls(payload_uuid, payload_file_count) IN (0, 2));
CREATE INDEX cluster_report_by_payload ON cluster_report (payload_uuid);

-- Several files of a payload may tell of the same namespace, machine and interval: they add up.
ALTER TABLE cluster_usage
    -- By its place in the order of names; 0 where there is no payload.
    ADD COLUMN payload_file smallint NOT NULL DEFAULT 0,
    DROP CONSTRAINT cluster_usage_pkey,
    ADD PRIMARY KEY (cluster_id, kind, interval_start, resource_id, node, namespace, payload_file);
