//! Launches, redesigns and release windows of a service: registered on its page and by the API.

use crate::analyze::savings::PlanKind;
use crate::store::service_plans::{self, ServicePlan};
use crate::store::{Snapshot, audit, service_costs};
use crate::web::{AppState, ClientAddress, Error, Principal, Result, detached};
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The longest plan, in days.
const DAY_COUNT_MAX: i64 = 400;

/// The section of a service's page. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/plans.html")]
pub struct PlanSection {
    slug: String,
    plans: Vec<PlanRow>,
    kinds: [(PlanKind, &'static str); 3],
    can_plan: bool,
}

impl askama::filters::HtmlSafe for PlanSection {}

#[derive(Debug, Clone)]
struct PlanRow {
    id: Option<i64>,
    title: String,
    days: String,
    details: String,
}

/// The plans of a service that are not over.
pub async fn section(
    conn: &mut Snapshot,
    service_id: i64,
    slug: &str,
    today: NaiveDate,
    can_plan: bool,
) -> sqlx::Result<PlanSection> {
    let plans = service_plans::list(conn, Some(&[service_id]), today).await?;
    Ok(PlanSection { slug: slug.to_owned(), plans: plans.iter().map(row).collect(), kinds: PlanKind::ALL, can_plan })
}

fn row(plan: &ServicePlan) -> PlanRow {
    let kind = PlanKind::from_key(&plan.kind).map(PlanKind::label).unwrap_or_default();
    let day = |day: NaiveDate| day.format("%-d %b %Y").to_string();
    PlanRow {
        id: plan.service_plan_id,
        title: plan.title.clone(),
        days: match plan.first_day == plan.last_day {
            true => day(plan.first_day),
            false => format!("{} to {}", day(plan.first_day), day(plan.last_day)),
        },
        details: match plan.service_plan_id {
            Some(_) => format!("{kind}, registered by {} on {}", plan.added_by, day(plan.added_at.date_naive())),
            None => format!("{kind}, told by {}", plan.added_by),
        },
    }
}

/// What is registered.
#[derive(Debug, Default, Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlan {
    /// `launch`, `redesign` or `release-window`.
    #[schema(example = "launch")]
    pub kind: String,
    /// What people call it, up to 200 characters.
    pub title: String,
    /// First day, UTC.
    #[schema(example = "2026-12-01")]
    pub first_day: String,
    /// Last day, included; the first one where it is left out.
    #[serde(default)]
    pub last_day: String,
}

/// Registers a plan of a service and gives its number.
pub async fn add_plan(
    app: &AppState,
    principal: &Principal,
    address: &ClientAddress,
    slug: &str,
    new: NewPlan,
) -> Result<i64> {
    let service_id = own_service(app, principal, slug).await?;
    let plan = checked(new, service_id, slug, principal, app)?;
    let (app, login, from) = (app.clone(), principal.login.clone(), address.to_string());
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        let id = service_plans::add(&mut transaction, &plan).await?;
        let details = serde_json::json!({ "plan": id, "kind": plan.kind, "title": plan.title,
            "first_day": plan.first_day, "last_day": plan.last_day });
        let slug = &plan.service_slug;
        audit::insert(&mut transaction, app.now(), &login, &from, "service.plan_added", slug, details).await?;
        transaction.commit().await?;
        Ok(id)
    })
    .await
}

/// Takes a plan of a service back.
pub async fn remove_plan(
    app: &AppState,
    principal: &Principal,
    address: &ClientAddress,
    slug: &str,
    id: i64,
) -> Result<()> {
    let service_id = own_service(app, principal, slug).await?;
    let (app, login, from, slug) = (app.clone(), principal.login.clone(), address.to_string(), slug.to_owned());
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        if !service_plans::remove(&mut transaction, service_id, id, &login, app.now()).await? {
            return Err(Error::NotFound);
        }
        let details = serde_json::json!({ "plan": id });
        audit::insert(&mut transaction, app.now(), &login, &from, "service.plan_removed", &slug, details).await?;
        Ok(transaction.commit().await?)
    })
    .await
}

async fn own_service(app: &AppState, principal: &Principal, slug: &str) -> Result<i64> {
    let mut snapshot = app.pools.snapshot().await?;
    let service = service_costs::head(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    principal.scope().has_team(service.team_id).then_some(service.service_id).ok_or(Error::Forbidden)
}

fn checked(new: NewPlan, service_id: i64, slug: &str, principal: &Principal, app: &AppState) -> Result<ServicePlan> {
    let kind = PlanKind::from_key(&new.kind)
        .ok_or_else(|| Error::Invalid("A plan is a launch, a redesign or a release-window.".into()))?;
    let title = new.title.trim().to_owned();
    let length = title.chars().count();
    if length == 0 || length > service_plans::TITLE_LENGTH_MAX {
        return Err(Error::Invalid(format!(
            "A plan has a title of 1 to {} characters; this one has {length}.",
            service_plans::TITLE_LENGTH_MAX
        )));
    }
    let day = |text: &str| {
        let day = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok();
        day.filter(|day| crate::web::query::is_supported(*day))
            .ok_or_else(|| Error::Invalid(format!("{text} is no day. A day is written like 2026-12-01.")))
    };
    let first_day = day(&new.first_day)?;
    let last_day = if new.last_day.trim().is_empty() { first_day } else { day(&new.last_day)? };
    if last_day < first_day || (last_day - first_day).num_days() >= DAY_COUNT_MAX {
        return Err(Error::Invalid(format!(
            "The last day must not lie before the first, nor more than {DAY_COUNT_MAX} days after it."
        )));
    }
    Ok(ServicePlan {
        service_plan_id: None,
        service_id,
        service_slug: slug.to_owned(),
        kind: kind.key().to_owned(),
        title,
        first_day,
        last_day,
        added_by: principal.login.clone(),
        added_at: app.now(),
    })
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(new): Form<NewPlan>,
) -> Result<Response> {
    add_plan(&app, &principal, &address, &slug, new).await?;
    Ok(Redirect::to(&format!("/services/{slug}#h-plans")).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveForm {
    plan: i64,
}

pub(super) async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(form): Form<RemoveForm>,
) -> Result<Response> {
    remove_plan(&app, &principal, &address, &slug, form.plan).await?;
    Ok(Redirect::to(&format!("/services/{slug}#h-plans")).into_response())
}
