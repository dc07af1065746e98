//! All SQL but the rollups': one file a table group. Functions take a connection and return plain rows.
//!
//! Every function that reads money takes a [`Scope`], and every list has a limit.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod billers;
pub mod catalogue;
pub mod catalogue_names;
pub mod changes;
pub mod charge_shares;
pub mod charge_trace;
pub mod charges;
pub mod cluster_usage;
pub mod commitment_costs;
pub mod completeness;
pub mod converted_costs;
pub mod copy_binary;
pub mod costs;
pub mod deliveries;
pub mod deployment_costs;
pub mod deployment_history;
pub mod deployment_list;
pub mod deployment_lists;
pub mod deployments;
pub mod dimension_costs;
pub mod embedded;
pub mod environment_costs;
pub mod event_deliveries;
pub mod event_sources;
pub mod expired;
pub mod focus_export;
pub mod freshness;
pub mod generations;
pub mod history;
pub mod invoices;
pub mod jobs;
pub mod live_deployments;
pub mod locks;
pub mod mapping_rule_versions;
pub mod mapping_rules;
pub mod metric_lists;
pub mod metric_points;
pub mod metric_queries;
pub mod metrics;
pub mod month_closing;
pub mod moved_by_rules;
pub mod otlp_series;
pub mod pipeline_runs;
pub mod pushes;
pub mod rates;
pub mod receipts;
pub mod release_lists;
pub mod releases;
pub mod scope;
pub mod seal;
pub mod search;
pub mod service_costs;
pub mod service_details;
pub mod sessions;
pub mod sign_in_failures;
pub mod sign_in_links;
pub mod source_finds;
pub mod source_history;
pub mod source_reads;
pub mod source_settings;
pub mod sources;
pub mod split_costs;
pub mod splits;
pub mod statement_ties;
pub mod statements;
pub mod tag_rules;
pub mod team_heads;
pub mod tokens;
pub mod unmapped;
pub mod uploads;
pub mod usage_unmapped;
pub mod verifications;
pub mod visits;

mod pools;

pub use pools::{Pools, Snapshot, guarded};
pub use scope::{Role, Scope};

/// The schema of this build, applied in order under an advisory lock.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
