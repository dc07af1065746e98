//! Deleting an entry: first what follows from it, then the deed.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::moves::{self, Labels, Moves};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result};
use crate::allocate::Catalogue;
use crate::focus::DateRange;
use crate::rollup::{mapper, what_if};
use crate::store::catalogue;
use crate::store::mapping_rules::{self, MappingRule};
use crate::store::{Scope, Snapshot};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::Days;

const RECENT_DAYS: u32 = 30;
const LONG_DAYS: u32 = 90;

#[derive(Template, WebTemplate)]
#[template(path = "catalogue_delete.html")]
pub(super) struct DeletePage {
    page: Page,
    /// "service", "environment" or "team".
    what: &'static str,
    /// The tab of the catalogue.
    tab: &'static str,
    slug: String,
    name: String,
    /// One sentence each.
    consequences: Vec<String>,
    moves: Moves,
    /// Whether a rule would add it again at once.
    comes_back: bool,
    shows_money: bool,
}

pub(super) async fn ask_service(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
) -> Result<DeletePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let service = catalogue::service::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    let removed = Some(service.service_id);
    let names = mapper::catalogue_names_without(&mut snapshot, removed, None).await?;
    let is_own = |rule: &MappingRule| rule.values.service_id == Some(service.service_id);
    let page = frame(&app, &principal, &mut snapshot, &service.name).await?;
    let after = without(&mut snapshot, &principal.scope(), &page, (names, removed), is_own).await?;
    let comes_back = after.answer_adds(&service.slug);
    let mut consequences = after.rules_sentence("service");
    consequences.push("Its other names are free for others then, and its deployments keep no link to it.".into());
    consequences.push("Rules decide again about operational events that are pinned to it alone.".into());
    Ok(DeletePage {
        page,
        what: "service",
        tab: "services",
        slug: service.slug,
        name: service.name,
        consequences,
        moves: after.moves,
        comes_back,
        shows_money: principal.scope().is_everything(),
    })
}

pub(super) async fn ask_environment(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
) -> Result<DeletePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let environment = catalogue::environment::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    let names = mapper::catalogue_names_without(&mut snapshot, None, Some(environment.environment_id)).await?;
    let is_own = |rule: &MappingRule| rule.values.environment_id == Some(environment.environment_id);
    let page = frame(&app, &principal, &mut snapshot, &environment.name).await?;
    let after = without(&mut snapshot, &principal.scope(), &page, (names, None), is_own).await?;
    let comes_back = after.answer_adds(&environment.slug);
    let mut consequences = after.rules_sentence("environment");
    consequences.push("Its other names are free for others then, and its deployments are in no environment.".into());
    Ok(DeletePage {
        page,
        what: "environment",
        tab: "environments",
        slug: environment.slug,
        name: environment.name,
        consequences,
        moves: after.moves,
        comes_back,
        shows_money: principal.scope().is_everything(),
    })
}

pub(super) async fn ask_team(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
) -> Result<DeletePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let team = catalogue::team::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    let consequences = vec![
        format!("{} then belong to no team; their cost stays.", counted(team.service_count, "service")),
        format!("{} no longer see money through it.", counted(team.member_count, "member")),
    ];
    Ok(DeletePage {
        page: frame(&app, &principal, &mut snapshot, &team.name).await?,
        what: "team",
        tab: "teams",
        slug: team.slug,
        name: team.name,
        consequences,
        moves: Moves::default(),
        comes_back: false,
        shows_money: principal.scope().is_everything(),
    })
}

pub(super) async fn service(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    let done = delete(app, principal, address, Entry::Service, slug).await?;
    Ok(done.redirect(|_| "/catalogue".into()))
}

pub(super) async fn environment(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    let done = delete(app, principal, address, Entry::Environment, slug).await?;
    Ok(done.redirect(|_| "/catalogue?show=environments".into()))
}

pub(super) async fn team(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    let done = delete(app, principal, address, Entry::Team, slug).await?;
    Ok(done.redirect(|_| "/catalogue?show=teams".into()))
}

/// What an entry of the catalogue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A service; the rules that name it go with it.
    Service,
    /// An environment; the rules that name it go with it.
    Environment,
    /// A team; what it owned belongs to none.
    Team,
}

/// Deletes an entry, whichever way it is asked for, and gives its slug.
pub async fn delete(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    entry: Entry,
    slug: String,
) -> Result<Done<String>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        match entry {
            Entry::Service => delete_service(&mut change, &slug).await?,
            Entry::Environment => delete_environment(&mut change, &slug).await?,
            Entry::Team => delete_team(&mut change, &slug).await?,
        }
        match entry {
            Entry::Service | Entry::Environment => change.finish().await.map(drop)?,
            // Its services keep their cost.
            Entry::Team => change.finish_without_remap().await?,
        }
        Ok(slug)
    })
    .await
}

async fn delete_service(change: &mut MappingChange, slug: &str) -> Result<()> {
    let service = catalogue::service::get(change.conn(), slug).await?.ok_or(Error::NotFound)?;
    catalogue::service::delete(change.conn(), service.service_id).await?;
    change.audit("service.deleted", slug, service.values().details()).await
}

async fn delete_environment(change: &mut MappingChange, slug: &str) -> Result<()> {
    let environment = catalogue::environment::get(change.conn(), slug).await?.ok_or(Error::NotFound)?;
    catalogue::environment::delete(change.conn(), environment.environment_id).await?;
    change.audit("environment.deleted", slug, environment.values().details()).await
}

async fn delete_team(change: &mut MappingChange, slug: &str) -> Result<()> {
    let team = catalogue::team::get(change.conn(), slug).await?.ok_or(Error::NotFound)?;
    catalogue::team::delete(change.conn(), team.team_id).await?;
    change.audit("team.deleted", slug, team.values().details()).await
}

async fn frame(app: &AppState, principal: &Principal, snapshot: &mut Snapshot, name: &str) -> Result<Page> {
    Page::new(app, principal, snapshot, format!("Delete {name}"), NavItem::Catalogue).await
}

struct After {
    rule_count: usize,
    answer: what_if::WhatIf,
    moves: Moves,
}

impl After {
    fn answer_adds(&self, slug: &str) -> bool {
        self.answer.added.contains_key(slug)
    }

    fn rules_sentence(&self, what: &str) -> Vec<String> {
        match self.rule_count {
            0 => Vec::new(),
            1 => vec![format!("One rule names this {what} and goes with it.")],
            count => vec![format!("{count} rules name this {what} and go with it.")],
        }
    }
}

/// What the rules would say without an entry and without the rules that name it as such.
async fn without(
    snapshot: &mut Snapshot,
    scope: &Scope,
    page: &Page,
    (names, removed_service): (Catalogue, Option<i64>),
    goes: impl Fn(&MappingRule) -> bool,
) -> Result<After> {
    let mut stored = mapping_rules::list(&mut *snapshot).await?;
    let before = stored.len();
    stored.retain(|rule| !goes(rule));
    let rules = mapper::rules_of(&stored)?;
    let last_day = page.bills.complete_to().unwrap_or_else(|| page.now.date_naive() - Days::new(1));
    let question = what_if::Question {
        rules: &rules,
        catalogue: names,
        rule_id: None,
        removed_service,
        recent: DateRange::days_to(last_day, RECENT_DAYS),
        long: DateRange::days_to(last_day, LONG_DAYS),
    };
    let answer = what_if::ask(&mut *snapshot, scope, question).await?;
    let moves = moves::tables(&answer, &Labels::load(&mut *snapshot).await?);
    Ok(After { rule_count: before - stored.len(), answer, moves })
}

fn counted(count: i64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
