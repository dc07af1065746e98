//! `/verify`: the proof that every figure adds up: all invariants over all data, exact, with what differed.

use super::{AppState, ClientAddress, NavItem, Page, Policy, Principal, Result, Routes, detached, filters};
use crate::rollup::verify as proof;
use crate::store::verifications::{self, Verification};
use crate::store::{Pools, audit};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::Redirect;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::time::Duration;

/// Runs that the page lists.
const RUN_COUNT: i64 = 10;
/// A run is waited for this long; a longer one goes on by itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// A run without an end that began longer ago has died with its server.
const RUN_HOURS_MAX: i64 = 6;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/verify", Policy::SignedIn, show).post("/verify", Policy::Bills, run)
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<VerifyPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Proof", NavItem::Proof).await?;
    let runs: Vec<Run> =
        verifications::latest(&mut snapshot, RUN_COUNT).await?.into_iter().map(|run| Run::new(run, page.now)).collect();
    let can_run = Policy::Bills.allows(&principal);
    // A difference names bills and amounts: only those who may see all money read it.
    let shows_differences = principal.scope().is_everything();
    let is_running = runs.first().is_some_and(Run::is_running);
    let last = runs.iter().find(|run| run.verification.finished_at.is_some() && run.verification.error.is_none());
    let lede = lede(last, page.publication_id);
    let checks = last.map(|run| run.checks.clone()).unwrap_or_default();
    Ok(VerifyPage { page, lede, checks, runs, can_run, shows_differences, is_running })
}

async fn run(State(app): State<AppState>, principal: Principal, address: ClientAddress) -> Result<Redirect> {
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        let running = verifications::latest(&mut transaction, 1).await?.into_iter().next();
        if running.is_some_and(|run| Run::new(run, now).is_running()) {
            return Ok(Redirect::to("/verify"));
        }
        let id = verifications::begin(&mut transaction, &principal.login, now).await?;
        let from = address.to_string();
        audit::insert(&mut transaction, now, &principal.login, &from, "proof.started", "all data", json!({})).await?;
        transaction.commit().await?;
        let (pools, clock) = (app.pools.clone(), app.clock);
        let work = tokio::spawn(async move { prove(&pools, id, clock).await });
        // A small installation is done before the answer; a large one shows its result when it is asked again.
        if let Ok(Ok(Err(error))) = tokio::time::timeout(PATIENCE, work).await {
            return Err(error.into());
        }
        Ok(Redirect::to("/verify"))
    })
    .await
}

async fn prove(pools: &Pools, id: i64, clock: fn() -> DateTime<Utc>) -> sqlx::Result<()> {
    let result = proven(pools).await;
    let (checks, error) = match &result {
        Ok(checks) => (json!(checks), None),
        Err(error) => (json!([]), Some(error.to_string())),
    };
    let mut conn = pools.jobs.acquire().await?;
    verifications::finish(&mut conn, id, clock(), &checks, error.as_deref()).await
}

// One snapshot: what is published or mapped meanwhile is seen by all checks or by none.
async fn proven(pools: &Pools) -> anyhow::Result<Vec<proof::Check>> {
    let mut snapshot = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let checks = proof::verify(&mut snapshot).await?;
    snapshot.commit().await?;
    Ok(checks)
}

/// One invariant as it was found.
#[derive(Clone)]
struct Check {
    name: String,
    checked: i64,
    differences: Vec<String>,
}

struct Run {
    verification: Verification,
    checks: Vec<Check>,
    /// Without an end, and begun so long ago that none will come.
    has_died: bool,
}

impl Run {
    fn new(verification: Verification, now: DateTime<Utc>) -> Self {
        let all = verification.checks.as_array().cloned().unwrap_or_default();
        let checks = all.iter().map(|check| Check {
            name: check["name"].as_str().unwrap_or_default().to_owned(),
            checked: check["checked"].as_i64().unwrap_or_default(),
            differences: check["differences"]
                .as_array()
                .map(|all| all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
                .unwrap_or_default(),
        });
        let age = now - verification.started_at;
        let has_died = verification.finished_at.is_none() && age > chrono::Duration::hours(RUN_HOURS_MAX);
        Self { checks: checks.collect(), has_died, verification }
    }

    fn is_running(&self) -> bool {
        self.verification.finished_at.is_none() && !self.has_died
    }

    fn difference_count(&self) -> usize {
        self.checks.iter().map(|check| check.differences.len()).sum()
    }

    fn result(&self) -> String {
        match (&self.verification.error, self.verification.finished_at) {
            (Some(_), _) => "Could not be finished".into(),
            (None, None) if self.has_died => "Ended with the server".into(),
            (None, None) => "Running".into(),
            (None, Some(_)) => match self.difference_count() {
                0 => "Everything adds up".into(),
                1 => "1 difference".into(),
                count => format!("{count} differences"),
            },
        }
    }
}

fn lede(last: Option<&Run>, publication_id: i64) -> String {
    let Some(run) = last else {
        return "The proof has not been run yet. Each bill was checked before it was counted.".into();
    };
    let at = run.verification.finished_at.unwrap_or(run.verification.started_at);
    let since = publication_id - run.verification.publication_id;
    let later = match since {
        0 => "nothing changed since.".to_owned(),
        1 => "one publication came since, checked by itself before it was counted.".to_owned(),
        count => format!("{count} publications came since, each checked by itself before it was counted."),
    };
    let result = match run.difference_count() {
        0 => format!("All {} invariants held", run.checks.len()),
        1 => "One difference was found".to_owned(),
        count => format!("{count} differences were found"),
    };
    format!("{result} on {} UTC; {later}", at.format("%-d %b %Y %H:%M"))
}

#[derive(Template, WebTemplate)]
#[template(path = "verify.html")]
struct VerifyPage {
    page: Page,
    lede: String,
    checks: Vec<Check>,
    runs: Vec<Run>,
    can_run: bool,
    shows_differences: bool,
    is_running: bool,
}
