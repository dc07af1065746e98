//! Pages: one file a page, each ending in a template struct. No SQL, no formatting in handlers.

pub mod account_changes;
pub mod anomalies;
pub mod api_description;
pub mod assets;
pub mod audit;
pub mod beside;
mod bills;
pub mod catalogue;
mod charge;
pub mod charge_filter;
mod charge_parts;
mod charges;
mod charges_focus;
pub mod charts;
pub mod client_address;
mod close_month;
pub mod close_warnings;
mod closed_lines;
mod closed_lists;
pub mod clusters;
pub(crate) mod commitments;
pub mod comparison;
mod connect_guides;
mod connect_steps;
mod context_events;
mod cost_columns;
mod cross_site;
pub mod csv;
pub mod daily;
mod decision_words;
pub mod delivery;
pub mod delivery_decision;
pub mod delivery_figures;
mod delivery_late;
pub mod delivery_metrics;
mod delivery_replaced;
mod delivery_retry;
mod deployed;
pub mod deployment;
mod deployment_marker;
pub mod deployments;
mod detached;
pub mod dimensions;
pub mod display;
mod docs;
mod drill;
pub mod effects;
pub mod environment;
mod environment_end;
pub mod environments;
pub mod error;
pub(crate) mod event_pins;
pub mod event_source;
pub mod event_sources;
pub mod export;
mod file_tokens;
pub mod filters;
pub mod forecast;
pub mod forecast_note;
pub mod forecast_record;
mod headers;
pub mod health;
mod history;
mod ignored_keys;
mod in_force;
mod invoice;
mod invoice_compared;
pub mod invoice_list;
mod invoices;
pub mod job_kinds;
mod json_table;
mod known_values;
pub mod line_turns;
mod list_pages;
pub mod mapping_change;
mod matched;
mod method;
mod metric_queries;
pub mod metrics;
pub mod missing_bills;
pub mod moments;
mod moved_lines;
pub mod moves;
mod operational_event;
mod operational_events;
pub mod overview;
mod paced;
pub mod page;
mod paged_file;
pub mod parts;
pub mod password;
mod percents;
pub(crate) mod pin_places;
pub mod preferences;
pub mod principal;
pub mod profile;
pub mod query;
mod query_reads;
pub mod rates;
pub mod reporting;
pub mod request_id;
mod restated;
pub mod routes;
pub mod rules;
pub mod savings;
mod search;
pub mod secret;
pub mod server;
pub mod service;
pub mod services;
pub mod session;
pub mod shared_moves;
pub mod sign_in;
mod slots;
mod source;
pub mod source_change;
mod source_setup;
mod source_standing;
pub(crate) mod sources;
mod span;
pub mod splits;
pub(crate) mod spool;
pub mod statement;
pub mod statements;
mod suggestions;
pub mod tags;
mod team;
mod team_pace;
mod teams;
pub mod telemetry;
pub mod throttle;
pub mod tokens;
pub mod transport;
pub mod unit_costs;
mod unknown_keys;
pub mod unmapped;
mod upload;
pub mod users;
mod verify;
pub mod webhook_bodies;
pub mod webhook_intake;
pub mod webhook_refusals;
pub mod webhooks;
pub mod welcome;
pub mod why;
mod workbook;

pub use client_address::ClientAddress;
pub use detached::{detached, wait_for_detached};
pub use error::{Error, Result};
pub use page::{NavItem, Page};
pub use principal::Principal;
pub use routes::{ApiPolicy, Policy, RouteEntry, Routes};

use crate::config::Config;
use crate::store::{Pools, Role};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A quarter of the connections that pages have.
const RECORDING_AT_ONCE: usize = 4;

/// What every handler can reach. Each layer that a request passes takes a copy, which is therefore one pointer.
#[derive(Clone)]
pub struct AppState(Arc<AppParts>);

/// The parts of [`AppState`].
#[derive(Clone)]
pub struct AppParts {
    /// The settings.
    pub config: Arc<Config>,
    /// Connections.
    pub pools: Pools,
    /// The clock, so that tests can set it.
    pub clock: fn() -> DateTime<Utc>,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Arc<[ipnet::IpNet]>,
    /// What services cost, kept until the next publication.
    pub kept_costs: Arc<service::KeptCosts>,
    /// Turns at recording a deployment at once: it waits for locks, and pages need connections meanwhile.
    pub recording: Arc<Semaphore>,
    /// Turns of those who read the lines of bills for a page.
    pub line_turns: line_turns::LineTurns,
    /// Room for bodies of webhooks.
    pub webhook_bodies: webhook_bodies::BodyRoom,
    /// Turns of webhooks, without those whose body is still coming.
    pub webhook_turns: Arc<Semaphore>,
    /// Stores what webhooks bring, many in one commit.
    pub webhook_intake: Arc<webhook_intake::Intake>,
    /// Counts webhooks that are refused.
    pub webhook_refusals: Arc<webhook_refusals::Refusals>,
    /// Places for files that are written for a download.
    pub exports: export::Places,
    /// Cancelled as soon as the service is told to stop: it is no longer ready.
    pub draining: CancellationToken,
}

impl AppState {
    /// Reads the settings that are used on every request once; a wrong one is named.
    pub fn new(config: Config, pools: Pools) -> anyhow::Result<Self> {
        let trusted_proxies = client_address::networks(&config.trusted_proxies)?.into();
        let draining = CancellationToken::new();
        let parts = AppParts {
            config: Arc::new(config),
            line_turns: line_turns::LineTurns::of(&pools.web),
            pools,
            clock: Utc::now,
            trusted_proxies,
            kept_costs: Arc::default(),
            recording: Arc::new(Semaphore::new(RECORDING_AT_ONCE)),
            webhook_bodies: webhook_bodies::BodyRoom::default(),
            webhook_turns: Arc::new(Semaphore::new(webhooks::TURNS_MAX)),
            webhook_intake: Arc::default(),
            webhook_refusals: Arc::default(),
            exports: export::Places::default(),
            draining,
        };
        Ok(Self(Arc::new(parts)))
    }

    /// The same with other parts, such as a clock that tests set.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut AppParts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }
}

impl std::ops::Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// The files that add routes, in the order of the alphabet.
const SITE_MAP: &[fn(Routes) -> Routes] = &[
    crate::api::anomalies::routes,
    crate::api::catalogue::routes,
    crate::api::catalogue_refreshes::routes,
    crate::api::clusters::routes,
    crate::api::commitments::routes,
    crate::api::costs::routes,
    crate::api::deliveries::routes,
    crate::api::delivery_metrics::routes,
    crate::api::deployment_pins::routes,
    crate::api::deployments::routes,
    crate::api::dimensions::routes,
    crate::api::environments::routes,
    crate::api::event_pins::routes,
    crate::api::event_sources::routes,
    crate::api::forecast::routes,
    crate::api::impact::routes,
    crate::api::invoice_items::routes,
    crate::api::invoices::routes,
    crate::api::job_kinds::routes,
    crate::api::job_runs::routes,
    crate::api::metrics::routes,
    crate::api::months::routes,
    crate::api::openapi::routes,
    crate::api::otlp::routes,
    crate::api::rates::routes,
    crate::api::rules::routes,
    crate::api::savings::routes,
    crate::api::splits::routes,
    crate::api::tags::routes,
    crate::api::unit_costs::routes,
    crate::api::why::routes,
    crate::api::source_deliveries::routes,
    crate::api::sources::routes,
    anomalies::routes,
    api_description::routes,
    audit::routes,
    catalogue::routes,
    charge::routes,
    charges::routes,
    charges_focus::routes,
    close_month::routes,
    clusters::routes,
    commitments::routes,
    connect_guides::routes,
    delivery::routes,
    delivery_decision::routes,
    delivery_metrics::routes,
    delivery_retry::routes,
    deployment::routes,
    deployments::routes,
    dimensions::routes,
    docs::routes,
    effects::routes,
    environment::routes,
    environments::routes,
    event_source::routes,
    event_sources::routes,
    forecast::routes,
    health::routes,
    history::routes,
    invoice::routes,
    invoices::routes,
    job_kinds::routes,
    metric_queries::routes,
    method::routes,
    metrics::routes,
    operational_event::routes,
    operational_events::routes,
    overview::routes,
    preferences::routes,
    profile::routes,
    rates::routes,
    rules::routes,
    savings::routes,
    search::routes,
    service::routes,
    services::routes,
    sign_in::routes,
    source::routes,
    source_setup::routes,
    sources::routes,
    splits::routes,
    statement::routes,
    statements::routes,
    tags::routes,
    team::routes,
    teams::routes,
    tokens::routes,
    unit_costs::routes,
    unmapped::routes,
    upload::routes,
    users::routes,
    verify::routes,
    webhooks::routes,
    welcome::routes,
    why::routes,
];

/// Every route of the service.
pub fn routes(app: AppState) -> Routes {
    let routes = Routes::new(app).public_asset("/static/{hash}/{*path}", assets::serve);
    SITE_MAP.iter().fold(routes, |routes, add| add(routes))
}

/// The finished service.
pub fn router(app: AppState) -> axum::Router {
    finish(routes(app))
}

/// Puts around routes what every answer has.
pub fn finish(routes: Routes) -> axum::Router {
    let app = routes.app().clone();
    let (pages, webhooks) = routes.into_routers();
    webhooks.fallback_service(beside::around(headers::wrap(pages, &app), &app))
}
