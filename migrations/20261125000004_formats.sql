-- How clusters were used, as OpenShift's operator or OpenCost reported it. Such a report is no bill: it says which part
-- of a machine each namespace used, and splits the cost that a bill has of that machine. Nothing here is part of a
-- total, and no rollup reads it.

CREATE TABLE cluster_report (
    cluster_report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_name text NOT NULL,
    content_sha256 text NOT NULL,
    row_count bigint NOT NULL,
    -- Rows of tables that split nothing: labels, GPUs, virtual machines.
    unused_row_count bigint NOT NULL,
    received_at timestamptz NOT NULL,
    received_by text NOT NULL
);

-- By machine, namespace and interval. A report replaces the intervals of a cluster that it has.
CREATE TABLE cluster_usage (
    cluster_id text NOT NULL,
    -- pods: CPU core-seconds; volumes: byte-seconds; allocations: costs that OpenCost estimated.
    kind text NOT NULL CHECK (kind IN ('pods', 'volumes', 'allocations')),
    interval_start timestamptz NOT NULL,
    interval_end timestamptz NOT NULL,
    -- The machine as a bill names it: the last part of its id, in lower case; '' where the report does not say.
    resource_id text NOT NULL,
    node text NOT NULL,
    namespace text NOT NULL,
    usage numeric NOT NULL CHECK (usage >= 0),
    -- All that the machine had in the interval; each of its namespaces repeats it.
    capacity numeric,
    cluster_report_id bigint NOT NULL REFERENCES cluster_report,
    PRIMARY KEY (cluster_id, kind, interval_start, resource_id, node, namespace)
);
CREATE INDEX cluster_usage_by_interval ON cluster_usage (interval_start);
CREATE INDEX cluster_usage_by_report ON cluster_usage (cluster_report_id);
