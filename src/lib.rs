//! Costwake links cost changes to releases: exact bills in, deployments in, rollups and pages out.
//!
//! The modules stand in the order in which data moves; each may use only those above it.
//! `tests/it/architecture.rs` checks that. See `docs/architecture.md`.

pub mod config;

pub mod parquet_table;

pub mod background;
pub mod patience;

pub mod focus;

pub mod sources;

pub mod normalize;

pub mod described;
pub mod events;

pub mod store;

pub mod rollup;

pub mod allocate;

pub mod analyze;

pub mod usage;
pub mod web;

pub mod api;

pub mod jobs;

pub mod demo;

pub mod commands;
