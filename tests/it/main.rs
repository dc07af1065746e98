//! The integration tests: one binary, a real PostgreSQL.

mod architecture;
mod backup;
mod copy_binary;
mod demo_organisation;
mod deployments_api;
mod embedded;
mod event_sources;
mod events_conformance;
mod focus_conformance;
mod ledger;
mod mapping;
mod pages_explore;
mod pages_finance;
mod pages_receipts;
mod support;
mod trust_cancelled;
mod trust_headers;
mod trust_matrix;
mod trust_routes;
mod trust_server;
mod trust_sign_in;
mod trust_tokens;
mod webhooks;
