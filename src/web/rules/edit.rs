//! Making and changing a rule: fill in, see what it would take, save.

use super::super::mapping_change::{self, MappingChange};
use super::super::moves::{self, Labels, Moves};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result};
use super::form::{RuleForm, checked_reason};
use super::{attribute_choices, conditions_in_words, days_in_words, ranges, saved, targets_in_words};
use crate::allocate::{Operator, Rule};
use crate::focus::CostBasis;
use crate::rollup::{mapper, what_if};
use crate::store::catalogue::environment::Environment;
use crate::store::catalogue::service::Service;
use crate::store::catalogue::team::Team;
use crate::store::costs::{self, CostFilter};
use crate::store::mapping_rule_versions::{self, Action, Author, TargetNames};
use crate::store::mapping_rules::{self, MappingRule, Place, RuleValues};
use crate::store::{Snapshot, catalogue, dimension_costs};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Template, WebTemplate)]
#[template(path = "rule_form.html")]
pub(super) struct RuleFormPage {
    page: Page,
    form: RuleForm,
    attributes: Vec<(String, String)>,
    services: Vec<Service>,
    environments: Vec<Environment>,
    teams: Vec<Team>,
    dimensions: Vec<String>,
    message: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "rule_preview.html")]
struct RulePreviewPage {
    page: Page,
    form: RuleForm,
    conditions: Vec<String>,
    targets: Vec<String>,
    /// The days that it would hold on; empty where always.
    days: String,
    taken: what_if::Taken,
    taken_recent: Vec<String>,
    taken_long: Vec<String>,
    moves: Moves,
    totals: Vec<String>,
    groups_to_key: u64,
    shows_money: bool,
    recent_last_day: String,
}

pub(super) async fn new_form(
    State(app): State<AppState>,
    principal: Principal,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<RuleFormPage> {
    let form = RuleForm::read(fields)?;
    page_of_address(&app, &principal, form, String::new()).await
}

pub(super) async fn edit_form(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<i64>,
) -> Result<RuleFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let rule = mapping_rules::get(&mut snapshot, id).await?.ok_or(Error::NotFound)?;
    let services = catalogue::service::list(&mut snapshot).await?;
    let service = services.iter().find(|service| Some(service.service_id) == rule.values.service_id);
    let environments = catalogue::environment::list(&mut snapshot).await?;
    let environment = environments.iter().find(|one| Some(one.environment_id) == rule.values.environment_id);
    let teams = catalogue::team::list(&mut snapshot).await?;
    let team = teams.iter().find(|one| Some(one.team_id) == rule.values.team_id);
    let form = RuleForm::of(
        &rule,
        service.map(|one| one.slug.as_str()),
        environment.map(|one| one.slug.as_str()),
        team.map(|one| one.slug.as_str()),
    );
    drop(snapshot);
    form_page(&app, &principal, form, String::new()).await
}

async fn form_page(app: &AppState, principal: &Principal, form: RuleForm, message: String) -> Result<RuleFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let title = form.id.map_or_else(|| "New rule".to_owned(), |_| "Change a rule".to_owned());
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Rules).await?;
    let attributes = attribute_choices(&mut snapshot).await?;
    let services = catalogue::service::list(&mut snapshot).await?;
    let environments = catalogue::environment::list(&mut snapshot).await?;
    let teams = catalogue::team::list(&mut snapshot).await?;
    let dimensions = dimension_costs::names(&mut snapshot).await?;
    Ok(RuleFormPage { page, form, attributes, services, environments, teams, dimensions, message })
}

// The form of an address: reading it has refused each key that is none of its fields.
async fn page_of_address(
    app: &AppState,
    principal: &Principal,
    form: RuleForm,
    message: String,
) -> Result<RuleFormPage> {
    let shown = form_page(app, principal, form, message).await?;
    Ok(RuleFormPage { page: shown.page.noting(String::new()), ..shown })
}

/// `GET`, so that the way back and "change" keep what was filled in.
pub(super) async fn preview(
    State(app): State<AppState>,
    principal: Principal,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Response> {
    let form = RuleForm::read(fields)?;
    let mut snapshot = app.pools.snapshot().await?;
    match preview_page(&app, &principal, &mut snapshot, &form).await {
        Ok(page) => Ok(page.into_response()),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            drop(snapshot);
            Ok((status, page_of_address(&app, &principal, form, message).await?).into_response())
        }
    }
}

async fn preview_page(
    app: &AppState,
    principal: &Principal,
    snapshot: &mut Snapshot,
    form: &RuleForm,
) -> Result<RulePreviewPage> {
    let values = form.values(snapshot).await?;
    let page = Page::new(app, principal, snapshot, "What the rule would take", NavItem::Rules).await?;
    let page = page.noting(String::new());
    let (recent, long) = ranges(&page);
    let id = form.id.unwrap_or(what_if::UNSAVED_RULE);
    let rules = rules_with(&mapping_rules::list(snapshot).await?, id, &values, form.place())?;
    let catalogue = mapper::catalogue_names(snapshot).await?;
    let scope = principal.scope();
    let question =
        what_if::Question { rules: &rules, catalogue, rule_id: Some(id), removed_service: None, recent, long };
    let answer = what_if::ask(snapshot, &scope, question).await?;
    let days = answer.other_days.map_or(recent, |(_, long)| long);
    let totals = costs::totals(snapshot, &scope, &CostFilter::new(days, CostBasis::Amortized)).await?;
    let shown = described(snapshot, id, &values).await?;
    Ok(RulePreviewPage {
        page,
        form: form.clone(),
        conditions: conditions_in_words(&values),
        targets: targets_in_words(&shown.values, &TargetNames::of(&shown)),
        days: days_in_words(&values),
        taken_recent: moves::in_texts(&answer.taken.costs, |cost| &cost.recent),
        taken_long: moves::in_texts(&answer.taken.costs, |cost| &cost.long),
        moves: moves::tables(&answer, &Labels::load(snapshot).await?),
        totals: totals.iter().map(|money| moves::text(&money.amount, &money.currency)).collect(),
        groups_to_key: answer.groups_to_key,
        taken: answer.taken,
        shows_money: scope.is_everything(),
        recent_last_day: recent.last_day().format("%-d %b %Y").to_string(),
    })
}

/// The rules as they would be with this one at its place.
fn rules_with(stored: &[MappingRule], id: i64, values: &RuleValues, place: Option<Place>) -> Result<Vec<Rule>> {
    let rule = mapper::rule_of(id, values)?;
    let mut rules = mapper::rules_of(stored)?;
    let at = rules.iter().position(|one| one.mapping_rule_id == id);
    if let Some(at) = at {
        rules.remove(at);
    } else if id != what_if::UNSAVED_RULE {
        return Err(Error::NotFound);
    }
    let to = match place {
        Some(Place::First) => 0,
        None => at.unwrap_or(rules.len()),
        Some(_) => rules.len(),
    };
    rules.insert(to, rule);
    Ok(rules)
}

// The unsaved rule with the names of what it points at.
async fn described(snapshot: &mut Snapshot, id: i64, values: &RuleValues) -> Result<MappingRule> {
    let services = catalogue::service::list(&mut *snapshot).await?;
    let environments = catalogue::environment::list(&mut *snapshot).await?;
    let service = services.into_iter().find(|one| Some(one.service_id) == values.service_id);
    let environment = environments.into_iter().find(|one| Some(one.environment_id) == values.environment_id);
    let teams = catalogue::team::list(snapshot).await?;
    let team = teams.into_iter().find(|one| Some(one.team_id) == values.team_id);
    Ok(MappingRule {
        team_name: team.map(|one| one.name),
        mapping_rule_id: id,
        position: 0,
        values: values.clone(),
        service_name: service.map(|one| one.name),
        environment_name: environment.map(|one| one.name),
        created_by: String::new(),
        created_at: chrono::DateTime::UNIX_EPOCH,
    })
}

pub(super) async fn save(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response> {
    let form = RuleForm::read(fields)?;
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            let values = form.values(change.conn()).await?;
            let reason = checked_reason(&form.reason)?;
            let id = match form.id {
                Some(id) => change_rule(&mut change, id, &values, form.place(), &reason).await.map(|()| id)?,
                None => add_rule(&mut change, &values, form.place().unwrap_or(Place::Last), &reason).await?,
            };
            change.finish().await.map(|_| id)
        }
    };
    match mapping_change::run(work).await {
        Ok(done) => Ok(done.redirect(saved::address)),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            Ok((StatusCode::max(status, StatusCode::BAD_REQUEST), form_page(&app, &principal, form, message).await?)
                .into_response())
        }
    }
}

/// Adds a rule and writes it down.
pub(crate) async fn add_rule(
    change: &mut MappingChange,
    values: &RuleValues,
    place: Place,
    reason: &str,
) -> Result<i64> {
    let (actor, now) = (change.actor().to_owned(), change.now());
    let id = mapping_rules::insert(change.conn(), values, place, &actor, now).await?;
    keep_version(change, id, Action::Added, reason).await?;
    change.audit("rule.added", &id.to_string(), json!({ "rule": values, "reason": reason })).await?;
    Ok(id)
}

/// Changes a rule and writes it down.
pub(crate) async fn change_rule(
    change: &mut MappingChange,
    id: i64,
    values: &RuleValues,
    place: Option<Place>,
    reason: &str,
) -> Result<()> {
    let before = mapping_rules::get(change.conn(), id).await?.ok_or(Error::NotFound)?;
    mapping_rules::update(change.conn(), id, values).await?;
    if let Some(place) = place {
        mapping_rules::shift(change.conn(), id, place).await?;
    }
    keep_version(change, id, Action::Changed, reason).await?;
    let details = json!({ "before": before.values, "after": values, "reason": reason });
    change.audit("rule.changed", &id.to_string(), details).await
}

/// Keeps a rule as it stands now among its versions.
pub(crate) async fn keep_version(change: &mut MappingChange, id: i64, action: Action, reason: &str) -> Result<()> {
    let rule = mapping_rules::get(change.conn(), id).await?.ok_or(Error::NotFound)?;
    let (login, now) = (change.actor().to_owned(), change.now());
    let author = Author { login: &login, now, reason };
    Ok(mapping_rule_versions::keep(change.conn(), &rule, action, author).await?)
}

impl RuleFormPage {
    fn operators(&self) -> [(Operator, &'static str, &'static str); 6] {
        Operator::ALL
    }
}
