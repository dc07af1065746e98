//! `/splits`: shared costs, what they are divided by, and what that moved.

mod csv;
mod edit;
pub(crate) mod form;
mod preview;
mod restore;
mod shares;
pub(super) mod words;

use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, moves, rules};
use crate::allocate::Validity;
use crate::allocate::split::{Plan, Split, Stayed};
use crate::focus::DateRange;
use crate::rollup::splits as rollup_splits;
use crate::store::metric_lists::{self, MetricHead};
use crate::store::split_costs::{self, SplitCost};
use crate::store::splits::{self, DeletedSplit, StoredSplit};
use crate::store::{Snapshot, catalogue};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use shares::Shares;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) use edit::{add_split, change_split, delete_split};
pub(crate) use restore::restore_split;

/// The routes of this folder. Everyone may read what is divided and how; the money is within the reader's scope.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/splits", Policy::SignedIn, list)
        .get("/splits.csv", Policy::SignedIn, csv::show)
        .get("/splits/new", Policy::Bills, edit::new_form)
        .get("/splits/preview", Policy::Bills, preview::show)
        .post("/splits", Policy::Bills, edit::save)
        .get("/splits/{id}", Policy::SignedIn, show)
        .get("/splits/{id}/edit", Policy::Bills, edit::edit_form)
        .post("/splits/{id}/delete", Policy::Bills, edit::delete)
        .post("/splits/{id}/restore", Policy::Bills, restore::restore)
}

/// A split as the list shows it.
struct SplitRow {
    id: i64,
    number: usize,
    name: String,
    source: String,
    method: String,
    /// Who of the targets gets a share on a day, where that depends on what they cost.
    who: String,
    why_stayed: String,
    metric: Option<String>,
    /// That its metric has no value; else empty.
    unknown_metric: String,
    targets: Vec<String>,
    validity: Validity,
    /// Whether it holds on none of the recent days.
    is_outside: bool,
    /// What it moved on the recent days, by currency.
    moved: BTreeMap<String, BigDecimal>,
    /// What it could not divide on them.
    stayed: BTreeMap<String, BigDecimal>,
    version: i32,
    changed_by: String,
    changed_at: DateTime<Utc>,
}

impl SplitRow {
    fn days(&self) -> String {
        words::days(self.validity)
    }

    fn moved_texts(&self) -> Vec<String> {
        texts(&self.moved)
    }

    fn stayed_texts(&self) -> Vec<String> {
        texts(&self.stayed)
    }
}

/// The splits, and the days that the money beside them is of.
struct SplitList {
    page: Page,
    rows: Vec<SplitRow>,
    recent: DateRange,
    shows_money: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "splits.html")]
struct SplitsPage {
    page: Page,
    rows: Vec<SplitRow>,
    metrics: Vec<MetricHead>,
    /// Those that can be put back; empty for who may not.
    deleted: Vec<DeletedSplit>,
    can_edit: bool,
    shows_money: bool,
    last_day: String,
}

async fn list(State(app): State<AppState>, principal: Principal) -> Result<SplitsPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let SplitList { page, rows, recent, shows_money } = read(&app, &principal, &mut snapshot).await?;
    let metrics = metric_lists::heads(&mut snapshot).await?;
    let can_edit = Policy::Bills.allows(&principal);
    let deleted = if can_edit { splits::recently_deleted(&mut snapshot).await? } else { Vec::new() };
    let last_day = recent.last_day().format("%-d %b %Y").to_string();
    Ok(SplitsPage { page, rows, metrics, deleted, can_edit, shows_money, last_day })
}

async fn read(app: &AppState, principal: &Principal, snapshot: &mut Snapshot) -> Result<SplitList> {
    let page = Page::new(app, principal, snapshot, "Shared costs", NavItem::Rules).await?;
    let (recent, _) = rules::ranges(&page);
    let stored = splits::list(snapshot).await?;
    let plan = rollup_splits::plan(snapshot, &stored).await?;
    let names = service_names(snapshot).await?;
    let scope = principal.scope();
    let shows_money = scope.is_everything() && Policy::Money.allows(principal);
    let (mut costs, mut stayed) = (Vec::new(), Vec::new());
    if shows_money {
        costs = split_costs::moved(snapshot, &scope, None, recent).await?;
        stayed = rollup_splits::worked_out(snapshot, &plan, recent).await?.1;
    }
    let rows = plan.splits().iter().zip(1..).filter_map(|(split, number)| {
        let stored = stored.iter().find(|one| one.split_id == split.split_id)?;
        Some(row(split, stored, number, &names, &costs, &stayed))
    });
    let mut rows: Vec<SplitRow> = rows.collect();
    let unknown = unknown_metrics(snapshot, &plan.metrics()).await?;
    for row in &mut rows {
        row.is_outside = row.validity.days().and_then(|held| held.common(recent)).is_none();
        row.unknown_metric = row.metric.as_ref().and_then(|name| unknown.get(name)).cloned().unwrap_or_default();
    }
    Ok(SplitList { rows, page, recent, shows_money })
}

/// The metrics among these that have no value, each with the sentence that says so.
pub(crate) async fn unknown_metrics(
    conn: &mut sqlx::PgConnection,
    metrics: &BTreeSet<&str>,
) -> Result<BTreeMap<String, String>> {
    let mut missing: Vec<String> = metrics.iter().map(|name| (*name).to_owned()).collect();
    let there = metric_lists::with_values(&mut *conn, &missing).await?;
    missing.retain(|name| !there.contains(name));
    if missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known: Vec<String> = metric_lists::heads(conn).await?.into_iter().map(|head| head.metric).collect();
    let told = missing.into_iter().map(|name| {
        let sentence = words::unknown_metric(&name, &known);
        (name, sentence)
    });
    Ok(told.collect())
}

fn row(
    split: &Split,
    stored: &StoredSplit,
    number: usize,
    names: &HashMap<i64, String>,
    costs: &[SplitCost],
    stayed: &[Stayed],
) -> SplitRow {
    let given = costs.iter().filter(|cost| cost.split_id == split.split_id && cost.service_id == split.source);
    SplitRow {
        id: split.split_id,
        number,
        name: split.name.clone(),
        source: words::service_name(names, split.source),
        method: words::method(split),
        who: words::who(split),
        why_stayed: words::why_stayed(split),
        metric: stored.values.metric.clone(),
        unknown_metric: String::new(),
        is_outside: false,
        targets: words::targets(split, names),
        validity: split.validity,
        moved: given.map(|cost| (cost.currency.clone(), -&cost.cost)).collect(),
        stayed: stayed_of(split.split_id, stayed),
        version: stored.version,
        changed_by: stored.changed_by.clone(),
        changed_at: stored.changed_at,
    }
}

/// `EffectiveCost` that a split could not divide, by currency.
fn stayed_of(split_id: i64, stayed: &[Stayed]) -> BTreeMap<String, BigDecimal> {
    let mut sums: BTreeMap<String, BigDecimal> = BTreeMap::new();
    for one in stayed.iter().filter(|one| one.split_id == split_id) {
        *sums.entry(one.key.billing_currency.clone()).or_default() += &one.costs[1];
    }
    sums.retain(|_, sum| !bigdecimal::Zero::is_zero(sum));
    sums
}

fn texts(sums: &BTreeMap<String, BigDecimal>) -> Vec<String> {
    sums.iter().map(|(currency, sum)| moves::text(sum, currency)).collect()
}

async fn service_names(snapshot: &mut Snapshot) -> Result<HashMap<i64, String>> {
    let services = catalogue::service::list(snapshot).await?;
    Ok(services.into_iter().map(|one| (one.service_id, one.name)).collect())
}

/// The recent days; of a split that held before them alone, the last ones on which it did.
fn recent_or_held(recent: DateRange, held: Option<DateRange>) -> DateRange {
    let before = held.filter(|held| held.end() <= recent.start());
    let last = before.and_then(|held| DateRange::days_to(held.last_day(), recent.day_count()).common(held));
    last.unwrap_or(recent)
}

/// A state that the split was in.
struct VersionRow {
    version: i32,
    action: String,
    name: String,
    method: String,
    targets: Vec<String>,
    days: String,
    reason: String,
    changed_by: String,
    changed_at: DateTime<Utc>,
}

#[derive(Template, WebTemplate)]
#[template(path = "split.html")]
struct SplitPage {
    page: Page,
    id: i64,
    /// None where it is deleted.
    split: Option<SplitRow>,
    shares: Shares,
    versions: Vec<VersionRow>,
    can_edit: bool,
    shows_money: bool,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<i64>,
    RawQuery(query): RawQuery,
) -> Result<SplitPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let versions = splits::versions(&mut snapshot, id).await?;
    let first = versions.first().ok_or(Error::NotFound)?;
    let title = format!("{} · Shared costs", first.values.name);
    let mut page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Rules).await?;
    let names = service_names(&mut snapshot).await?;
    let stored = splits::list(&mut snapshot).await?;
    let plan = rollup_splits::plan(&mut snapshot, &stored).await?;
    let held = plan.splits().iter().find(|split| split.split_id == id).and_then(|split| split.validity.days());
    let recent = recent_or_held(rules::ranges(&page).0, held);
    let scope = principal.scope();
    let shows_money = Policy::Money.allows(&principal);
    let (mut costs, mut shares) = (Vec::new(), Shares::default());
    let mut stayed = Vec::new();
    if shows_money {
        costs = split_costs::moved(&mut snapshot, &scope, Some(id), recent).await?;
        let source = stored.iter().find(|one| one.split_id == id).map(|one| one.values.source_service_id);
        shares = shares::read(&mut snapshot, &scope, (id, source), query.as_deref(), (&page.bills, recent)).await?;
        page = page.noting(shares.note.clone());
    }
    if shows_money && scope.is_everything() {
        stayed = rollup_splits::worked_out(&mut snapshot, &plan, recent).await?.1;
    }
    let found = plan.splits().iter().zip(1..).find(|(split, _)| split.split_id == id);
    let found = found.zip(stored.iter().find(|one| one.split_id == id));
    let mut split = found.map(|((split, number), stored)| row(split, stored, number, &names, &costs, &stayed));
    if let Some(row) = &mut split {
        let metrics: BTreeSet<&str> = row.metric.as_deref().into_iter().collect();
        row.unknown_metric = unknown_metrics(&mut snapshot, &metrics).await?.into_values().collect();
    }
    let version_rows = versions.iter().map(|version| version_row(id, version, &names)).collect::<Result<_>>()?;
    Ok(SplitPage {
        page,
        id,
        split,
        shares,
        versions: version_rows,
        can_edit: Policy::Bills.allows(&principal),
        shows_money,
    })
}

fn version_row(id: i64, version: &splits::SplitVersion, names: &HashMap<i64, String>) -> Result<VersionRow> {
    let split = rollup_splits::split_of(id, &version.values)?;
    Ok(VersionRow {
        version: version.version,
        action: version.action.clone(),
        name: format!("{}: {}", split.name, words::service_name(names, split.source)),
        method: words::method(&split),
        targets: words::targets(&split, names),
        days: words::days(split.validity),
        reason: version.reason.clone(),
        changed_by: version.changed_by.clone(),
        changed_at: version.changed_at,
    })
}

/// The splits as they would be with this one, put in order, or the sentence that says why they cannot.
pub(crate) async fn planned(
    conn: &mut sqlx::PgConnection,
    id: Option<i64>,
    values: &splits::SplitValues,
) -> Result<Plan> {
    let stored = splits::list(&mut *conn).await?;
    let others = stored.iter().filter(|one| Some(one.split_id) != id);
    let mut all =
        others.map(|one| rollup_splits::split_of(one.split_id, &one.values)).collect::<anyhow::Result<Vec<_>>>()?;
    all.push(rollup_splits::split_of(id.unwrap_or(preview::UNSAVED), values)?);
    rollup_splits::plan_of(conn, &all).await?.map_err(|error| Error::Invalid(error.to_string()))
}
