//! `/catalogue`: teams, services and environments; who owns what, and which names stand for it.

mod csv;
pub mod details;
mod environment;
pub mod environment_end;
mod import;
pub mod refresh;
pub mod remove;
mod service;
mod team;

use super::list_pages::ListPages;
use super::mapping_change::{self, MappingChange};
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, unknown_keys};
use crate::store::catalogue::environment::Environment;
use crate::store::catalogue::service::Service;
use crate::store::catalogue::team::Team;
use crate::store::catalogue::{self};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

/// The routes of this folder. The catalogue holds no money: everyone may read it.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/catalogue", Policy::SignedIn, show)
        .get("/catalogue.csv", Policy::SignedIn, csv::show)
        .post("/catalogue/move", Policy::Bills, move_services)
        .get("/catalogue/import", Policy::Bills, import::form)
        .post_upload("/catalogue/import", Policy::Bills, import::FILE_BYTES_MAX, import::look)
        .post_upload("/catalogue/import/take-in", Policy::Bills, import::FORM_BYTES_MAX, import::take_in)
        .post("/catalogue/refreshes", Policy::Admin, refresh::add)
        .post("/catalogue/refreshes/{id}/now", Policy::Bills, refresh::now)
        .post("/catalogue/refreshes/{id}/remove", Policy::Admin, refresh::remove)
        .post("/catalogue/refreshes/{id}/remove-rules", Policy::Bills, refresh::remove_rules)
        .get("/catalogue/add-service", Policy::Bills, service::add_form)
        .post("/catalogue/add-service", Policy::Bills, service::add)
        .get("/catalogue/services/{slug}", Policy::Bills, service::edit_form)
        .post("/catalogue/services/{slug}", Policy::Bills, service::edit)
        .get("/catalogue/services/{slug}/delete", Policy::Bills, remove::ask_service)
        .post("/catalogue/services/{slug}/delete", Policy::Bills, remove::service)
        .get("/catalogue/add-environment", Policy::Bills, environment::add_form)
        .post("/catalogue/add-environment", Policy::Bills, environment::add)
        .get("/catalogue/environments/{slug}", Policy::Bills, environment::edit_form)
        .post("/catalogue/environments/{slug}", Policy::Bills, environment::edit)
        .post("/catalogue/environments/{slug}/still-runs", Policy::Bills, environment_end::still_runs)
        .post("/catalogue/environments/{slug}/ended", Policy::Bills, environment_end::ended)
        .get("/catalogue/environments/{slug}/delete", Policy::Bills, remove::ask_environment)
        .post("/catalogue/environments/{slug}/delete", Policy::Bills, remove::environment)
        .get("/catalogue/add-team", Policy::Bills, team::add_form)
        .post("/catalogue/add-team", Policy::Bills, team::add)
        .get("/catalogue/teams/{slug}", Policy::Bills, team::edit_form)
        .post("/catalogue/teams/{slug}", Policy::Bills, team::edit)
        .get("/catalogue/teams/{slug}/delete", Policy::Bills, remove::ask_team)
        .post("/catalogue/teams/{slug}/delete", Policy::Bills, remove::team)
}

/// What a table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Show {
    #[default]
    Services,
    Environments,
    Teams,
}

#[derive(Deserialize)]
struct CatalogueQuery {
    #[serde(default)]
    show: Show,
    page: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "catalogue.html")]
struct CataloguePage {
    page: Page,
    show: Show,
    can_edit: bool,
    services: Vec<Service>,
    environments: Vec<Environment>,
    teams: Vec<Team>,
    list_pages: ListPages,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Query(query): Query<CatalogueQuery>,
) -> Result<CataloguePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Catalogue", NavItem::Catalogue).await?;
    let page = page.noting(unknown_keys::of::<CatalogueQuery>());
    let services = catalogue::service::list(&mut snapshot).await?;
    let environments = catalogue::environment::list(&mut snapshot).await?;
    let teams = catalogue::team::list(&mut snapshot).await?;
    let (path, row_count) = match query.show {
        Show::Services => ("/catalogue?show=services", services.len()),
        Show::Environments => ("/catalogue?show=environments", environments.len()),
        Show::Teams => ("/catalogue?show=teams", teams.len()),
    };
    let link = |page: &str| if page.is_empty() { path.to_owned() } else { format!("{path}&page={page}") };
    let asked = query.page.as_deref().filter(|page| !page.is_empty());
    let list_pages = ListPages::new(asked, row_count, link)?;
    let can_edit = Policy::Bills.allows(&principal);
    Ok(CataloguePage { page, show: query.show, can_edit, services, environments, teams, list_pages })
}

impl CataloguePage {
    fn services_without_team(&self) -> usize {
        self.services.iter().filter(|service| service.team_slug.is_none()).count()
    }

    fn listed_services(&self) -> &[Service] {
        self.list_pages.part(&self.services)
    }

    fn listed_environments(&self) -> &[Environment] {
        self.list_pages.part(&self.environments)
    }

    fn listed_teams(&self) -> &[Team] {
        self.list_pages.part(&self.teams)
    }
}

/// `service=a&service=b&team=payments`: several at once, because a first import brings dozens.
async fn move_services(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response> {
    let team = fields.iter().find(|(name, _)| name == "team").map(|(_, value)| value.clone());
    let slugs: Vec<String> = fields.into_iter().filter(|(name, _)| name == "service").map(|(_, value)| value).collect();
    let team = team.ok_or_else(|| Error::Invalid("Choose the team that the services move to.".into()))?;
    if slugs.is_empty() {
        return Err(Error::Invalid("Tick the services that move to another team.".into()));
    }
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        for slug in &slugs {
            let service = catalogue::service::get(change.conn(), slug).await?.ok_or(Error::NotFound)?;
            let mut values = service.values();
            let team_slug = Some(team.clone()).filter(|team| !team.is_empty());
            let before = std::mem::replace(&mut values.team_slug, team_slug);
            catalogue::service::update(change.conn(), &service, &values).await?;
            change.audit("service.moved", slug, json!({ "from": before, "to": values.team_slug })).await?;
        }
        change.finish_without_remap().await
    });
    Ok(done.await?.redirect(|()| "/catalogue".into()))
}

/// Other names as a form has them: one a line, or separated by commas.
fn aliases_of(text: &str) -> Vec<String> {
    text.split([',', '\n', '\r']).map(str::trim).filter(|alias| !alias.is_empty()).map(str::to_owned).collect()
}

/// The address that a form asks for, else the one that the name makes.
fn slug_for(slug: &str, name: &str) -> String {
    let slug = slug.trim();
    if slug.is_empty() { crate::allocate::slug(name) } else { slug.to_owned() }
}
