//! Stating what a workload is for, and taking it back.

use super::table::GoalForm;
use crate::analyze::unit_economics::Goal;
use crate::store::metrics::{self, Metric};
use crate::store::workload_goals::{self, WorkloadGoal};
use crate::store::{Snapshot, audit, catalogue, service_costs};
use crate::web::{AppState, ClientAddress, Error, Principal, Result, detached};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is stated.
#[derive(Debug, Default, Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatedGoal {
    /// `latency`, `cost` or `weight`.
    #[schema(example = "weight")]
    pub goal: String,
    /// Weight of cost in percent, 1 to 99; the rest is that of the duration. Only where the goal is `weight`.
    #[serde(default)]
    pub cost_percent: Option<i16>,
    /// The metric that tells how long a unit takes, whose meaning is latency or something else and whose values do not add
    /// up. Where it is left out, runs and jobs are told by their own minutes, other units by the first metric of the service
    /// whose meaning is latency.
    #[serde(default)]
    pub duration_metric: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GoalFields {
    metric: String,
    goal: String,
    cost_percent: String,
    duration_metric: String,
}

/// The form of a service's page.
pub async fn form(conn: &mut Snapshot, service_id: i64, slug: &str, own: &[String]) -> Result<GoalForm> {
    let known = metrics::list(conn).await?;
    let is_own = |metric: &&Metric| own.contains(&metric.metric);
    let stated = workload_goals::list(conn, Some(&[service_id])).await?;
    Ok(GoalForm {
        slug: slug.to_owned(),
        metrics: known.iter().filter(is_own).filter(|one| one.has_unit_cost()).map(|one| one.metric.clone()).collect(),
        durations: known
            .iter()
            .filter(is_own)
            .filter(|one| one.tells_duration())
            .map(|one| one.metric.clone())
            .collect(),
        stated: stated.iter().map(stated_row).collect(),
    })
}

fn stated_row(goal: &WorkloadGoal) -> (String, String, String) {
    let words = Goal::new(&goal.goal, goal.cost_percent).map(Goal::words).unwrap_or_default();
    let by = goal.duration_metric.as_ref().map(|metric| format!(", duration by {metric}")).unwrap_or_default();
    let who = format!("stated by {} on {}", goal.stated_by, goal.stated_at.format("%-d %b %Y"));
    (goal.metric.clone(), format!("{words}{by}"), who)
}

/// States a goal for the units of a metric of a service, or takes it back where it is `None`.
pub async fn state(
    app: &AppState,
    principal: &Principal,
    address: &ClientAddress,
    slug: &str,
    metric: &str,
    asked: Option<StatedGoal>,
) -> Result<()> {
    let mut snapshot = app.pools.snapshot().await?;
    let service = service_costs::head(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    drop(snapshot);
    if !principal.scope().has_team(service.team_id) {
        return Err(Error::Forbidden);
    }
    let (app, principal, from) = (app.clone(), principal.clone(), address.to_string());
    let (slug, metric) = (slug.to_owned(), metric.trim().to_owned());
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        let service = catalogue::service::get(&mut transaction, &slug).await?.ok_or(Error::NotFound)?;
        let details = match asked {
            Some(asked) => {
                let goal = checked(&mut transaction, &principal, &app, service.service_id, &metric, asked).await?;
                workload_goals::put(&mut transaction, &WorkloadGoal { service_slug: slug.clone(), ..goal.clone() })
                    .await?;
                json!({ "metric": metric, "goal": goal.goal, "cost_percent": goal.cost_percent,
                        "duration_metric": goal.duration_metric })
            }
            None => {
                if !workload_goals::delete(&mut transaction, service.service_id, &metric).await? {
                    return Err(Error::NotFound);
                }
                json!({ "metric": metric, "goal": null })
            }
        };
        let action = "service.goal_stated";
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &slug, details).await?;
        Ok(transaction.commit().await?)
    })
    .await
}

async fn checked(
    conn: &mut sqlx::PgConnection,
    principal: &Principal,
    app: &AppState,
    service_id: i64,
    metric: &str,
    asked: StatedGoal,
) -> Result<WorkloadGoal> {
    let cost_percent = asked.cost_percent.filter(|_| asked.goal == "weight");
    if Goal::new(&asked.goal, cost_percent).is_none() {
        return Err(Error::Invalid(if asked.goal == "weight" {
            "A weighted goal needs the weight of cost, from 1 to 99 percent.".into()
        } else {
            "A goal is latency, cost or weight.".into()
        }));
    }
    let unit = metrics::get(&mut *conn, metric).await?;
    if !unit.is_some_and(|metric| metric.has_unit_cost()) {
        return Err(Error::Invalid(
            "A goal needs a metric whose values add up and whose meaning is stated, such as requests or pipeline runs."
                .into(),
        ));
    }
    let duration_metric = asked.duration_metric.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if let Some(name) = &duration_metric {
        let known = metrics::get(&mut *conn, name).await?;
        if !known.is_some_and(|metric| metric.tells_duration()) {
            return Err(Error::Invalid(format!(
                "{name} does not tell how long a unit takes: name a metric that is known, whose meaning is latency or something else, and whose values do not add up."
            )));
        }
    }
    Ok(WorkloadGoal {
        service_id,
        service_slug: String::new(),
        metric: metric.to_owned(),
        goal: asked.goal,
        cost_percent,
        duration_metric,
        stated_by: principal.login.clone(),
        stated_at: app.now(),
    })
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(fields): Form<GoalFields>,
) -> Result<Response> {
    let cost_percent = match fields.cost_percent.trim() {
        "" => None,
        text => Some(
            text.parse().map_err(|_| Error::Invalid("The weight of cost is a whole number from 1 to 99.".into()))?,
        ),
    };
    let asked = StatedGoal { goal: fields.goal, cost_percent, duration_metric: Some(fields.duration_metric) };
    state(&app, &principal, &address, &slug, &fields.metric, Some(asked)).await?;
    Ok(Redirect::to(&format!("/services/{slug}#goals")).into_response())
}

pub(super) async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(fields): Form<GoalFields>,
) -> Result<Response> {
    state(&app, &principal, &address, &slug, &fields.metric, None).await?;
    Ok(Redirect::to(&format!("/services/{slug}#goals")).into_response())
}
