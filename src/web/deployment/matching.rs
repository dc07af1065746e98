//! Pinning a deployment to services and an environment, and letting rules decide again.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::matched::{MatchSection, PinPlaces};
use super::super::pin_places::{Asked, PinForm, asked_place};
use super::super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes};
use crate::rollup::map_deployments;
use crate::store::deployment_costs::ServedService;
use crate::store::deployment_lists::Row;
use crate::store::pins::Matching;
use crate::store::{catalogue, deployment_pins, locks, service_costs};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use sqlx::PgConnection;

pub fn routes(routes: Routes) -> Routes {
    let routes = routes.post("/deployments/{id}/pin", Policy::Bills, pin_by_form);
    routes.post("/deployments/{id}/unpin", Policy::Bills, unpin_by_form)
}

async fn pin_by_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<PinForm>,
) -> Result<Response> {
    let done = pin(app, principal, address, id, form.asked()).await?;
    Ok(done.redirect(|_| section_of(id)))
}

async fn unpin_by_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = unpin(app, principal, address, id).await?;
    Ok(done.redirect(|_| section_of(id)))
}

fn section_of(id: i64) -> String {
    format!("/deployments/{id}#h-match")
}

/// Pins a deployment where somebody asks, and moves it there. Whether it was not pinned there before.
pub async fn pin(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: i64,
    asked: Asked,
) -> Result<Done<bool>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        locks::lock_events(change.conn()).await?;
        let matching = deployment_pins::matching(change.conn(), id).await?.ok_or(Error::NotFound)?;
        let now_at = deployment_pins::place(change.conn(), id).await?.ok_or(Error::NotFound)?;
        let place = asked_place(change.conn(), "deployment", now_at.clone(), &asked).await?;
        let moves = place != now_at;
        if !moves && matching.pinned_by.is_some() {
            return Ok(false);
        }
        // As it is, the rules that placed it are still told.
        if moves {
            map_deployments::move_to(change.conn(), id, place).await?;
        }
        let (by, now) = (change.actor().to_owned(), change.now());
        deployment_pins::pin(change.conn(), id, &by, now).await?;
        let pins = deployment_pins::list(change.conn(), Some(id), 1).await?;
        let pin = pins.first().ok_or(Error::NotFound)?;
        let details = json!({ "services": pin.service_slugs, "environment": pin.environment_slug });
        change.audit("deployment.pinned", &format!("deployment {id}"), details).await?;
        change.finish_without_remap().await?;
        Ok(true)
    })
    .await
}

/// Lets rules decide about a deployment again, and moves it where they say. Whether it was pinned before.
pub async fn unpin(app: AppState, principal: Principal, address: ClientAddress, id: i64) -> Result<Done<bool>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        deployment_pins::place(change.conn(), id).await?.ok_or(Error::NotFound)?;
        if !deployment_pins::unpin(change.conn(), id).await? {
            return Ok(false);
        }
        change.audit("deployment.unpinned", &format!("deployment {id}"), json!({})).await?;
        change.finish().await?;
        Ok(true)
    })
    .await
}

/// How a deployment was matched, with what may be done about it.
pub(super) async fn section(
    conn: &mut PgConnection,
    principal: &Principal,
    row: &Row,
    services: &[ServedService],
    matching: &Matching,
) -> Result<MatchSection> {
    let path = format!("/deployments/{}", row.deployment_id);
    let raw = row.environment_raw.as_deref();
    let section = MatchSection::new(path, matching, &row.service_raw, raw, &row.attributes);
    if !Policy::Bills.allows(principal) {
        return Ok(section);
    }
    let places = places(conn, row, services).await?;
    Ok(section.pinnable(!services.is_empty(), Some(places)))
}

/// The known names, with where the deployment belongs now chosen.
async fn places(conn: &mut PgConnection, row: &Row, services: &[ServedService]) -> Result<PinPlaces> {
    let known = catalogue::service::list(&mut *conn).await?;
    let mut environments = service_costs::choices(conn).await?.environments;
    // Of previews only the newest are offered.
    let own = row.environment_slug.clone().zip(row.environment_name.clone());
    environments.extend(own.filter(|(slug, _)| environments.iter().all(|(known, _)| known != slug)));
    Ok(PinPlaces {
        services: known.into_iter().map(|one| (one.slug, one.name)).collect(),
        service: match services {
            [one] => one.slug.clone(),
            _ => String::new(),
        },
        has_several: services.len() > 1,
        environments,
        environment: row.environment_slug.clone().unwrap_or_default(),
        no_environment: "no environment",
        rule_href: String::new(),
    })
}
