//! Adding and changing a team.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result};
use super::slug_for;
use crate::store::catalogue::team::{self, Team, TeamValues};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TeamForm {
    name: String,
    slug: String,
    cost_center: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "catalogue_team.html")]
pub(super) struct TeamFormPage {
    page: Page,
    /// `None` for a new one.
    team: Option<Team>,
    form: TeamForm,
    message: String,
}

pub(super) async fn add_form(State(app): State<AppState>, principal: Principal) -> Result<TeamFormPage> {
    form_page(&app, &principal, None, TeamForm::default(), String::new()).await
}

pub(super) async fn edit_form(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
) -> Result<TeamFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let team = team::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    drop(snapshot);
    let cost_center = team.cost_center.clone().unwrap_or_default();
    let form = TeamForm { name: team.name.clone(), slug: team.slug.clone(), cost_center };
    form_page(&app, &principal, Some(team), form, String::new()).await
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<TeamForm>,
) -> Result<Response> {
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let slug = slug_for(&form.slug, &form.name);
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            team::insert(change.conn(), &slug, &form.values()).await?;
            change.audit("team.added", &slug, form.values().details()).await?;
            change.finish_without_remap().await
        }
    };
    answer(&app, &principal, None, form, mapping_change::run(work).await).await
}

pub(super) async fn edit(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(form): Form<TeamForm>,
) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let team = team::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    drop(snapshot);
    let work = {
        let (app, principal, form, team) = (app.clone(), principal.clone(), form.clone(), team.clone());
        async move {
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            team::update(change.conn(), team.team_id, &form.values()).await?;
            let both = json!({ "before": team.values().details(), "after": form.values().details() });
            change.audit("team.changed", &team.slug, both).await?;
            change.finish_without_remap().await
        }
    };
    answer(&app, &principal, Some(team), form, mapping_change::run(work).await).await
}

async fn answer<T>(
    app: &AppState,
    principal: &Principal,
    team: Option<Team>,
    form: TeamForm,
    result: Result<Done<T>>,
) -> Result<Response> {
    match result {
        Ok(done) => Ok(done.redirect(|_| "/catalogue?show=teams".into())),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            Ok((status, form_page(app, principal, team, form, message).await?).into_response())
        }
    }
}

async fn form_page(
    app: &AppState,
    principal: &Principal,
    team: Option<Team>,
    form: TeamForm,
    message: String,
) -> Result<TeamFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let title = team.as_ref().map_or_else(|| "Add a team".to_owned(), |one| format!("{} · Catalogue", one.name));
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Catalogue).await?;
    Ok(TeamFormPage { page, team, form, message })
}

impl TeamForm {
    fn values(&self) -> TeamValues {
        let cost_center = Some(self.cost_center.clone()).filter(|text| !text.trim().is_empty());
        TeamValues { name: self.name.clone(), cost_center }
    }
}
