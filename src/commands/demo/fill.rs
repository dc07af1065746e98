//! Takes the demo organisation in as users do: catalogue by API, bills by import, events by signed webhooks.

use super::client::{Caller, succeeded};
use super::step;
use crate::commands::running::Running;
use crate::demo::DemoFiles;
use crate::jobs::effects;
use crate::rollup::{ImportRequest, import_file};
use crate::store::tokens::TokenScope;
use crate::store::{Pools, Role, accounts, event_deliveries};
use crate::web::account_changes::By;
use crate::web::event_sources;
use crate::web::tokens::{self, Wanted};
use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Who the audit log says it was.
const ACTOR: &str = "demo";
const EVENT_SOURCE: &str = "acme-shop";
const REQUESTS_AT_ONCE: usize = 8;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
const EVENTS_WAIT_MAX: Duration = Duration::from_secs(300);

/// Everything, in the order in which an installation is set up.
pub async fn take_in(running: &Running, pools: &Pools, files: &DemoFiles) -> anyhow::Result<()> {
    let caller = Caller::new(running.address())?;
    step(format_args!("Adding {} teams and {} services", files.teams.len(), files.services.len()));
    fill_catalogue(running, pools, &caller, files).await?;
    take_bills(running, pools, files).await?;
    send_events(running, pools, &caller, files).await?;
    step(format_args!("Working out what each release did to cost"));
    let settled = effects::settle(pools, running.app().now()).await?;
    step(format_args!("  {} releases have a verdict", settled.release_count));
    Ok(())
}

async fn fill_catalogue(running: &Running, pools: &Pools, caller: &Caller, files: &DemoFiles) -> anyhow::Result<()> {
    let mut conn = pools.jobs.acquire().await?;
    let admin = accounts::find(&mut conn, "admin").await?.context("the first administrator is missing")?;
    drop(conn);
    let app = running.app();
    let by = || By { actor: ACTOR.into(), address: String::new(), now: app.now() };
    let wanted = Wanted { name: "demo catalogue", scope: TokenScope::Admin, expires_days: Some(1) };
    let (_, token) = tokens::make(app, by(), (admin, Role::Admin), wanted).await?;
    let post = |path: &'static str, body: Value| {
        let (caller, secret) = (caller.clone(), token.secret.clone());
        async move { caller.post_json(path, &secret, &body).await }
    };
    for team in &files.teams {
        let body = json!({"slug": team.slug, "name": team.name, "cost_center": team.cost_center});
        post("/api/v1/teams", body).await?;
    }
    for environment in &files.environments {
        let body = json!({"slug": environment.slug, "name": environment.slug, "kind": environment.kind});
        post("/api/v1/environments", body).await?;
    }
    for service in &files.services {
        let body = json!({
            "slug": service.slug, "name": service.slug, "team": service.team_slug, "tier": service.tier,
        });
        post("/api/v1/services", body).await?;
    }
    for rule in &files.rules {
        let condition = json!({"attribute": rule.attribute, "operator": rule.operator, "value": rule.value});
        let body = json!({
            "applies_to": "charges", "conditions": [condition], "service": rule.service_slug,
            "environment": rule.environment_slug, "note": rule.note,
        });
        post("/api/v1/rules", body).await?;
    }
    Ok(tokens::end(app, by(), None, token.api_token_id).await?)
}

async fn take_bills(running: &Running, pools: &Pools, files: &DemoFiles) -> anyhow::Result<()> {
    let all_rows: u64 = files.bills.iter().map(|bill| bill.row_count).sum();
    step(format_args!("Taking in {} bills with {all_rows} lines", files.bills.len()));
    let (mut rows, mut told) = (0, Instant::now());
    for (position, bill) in files.bills.iter().enumerate() {
        let file_name = bill.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let request = ImportRequest {
            path: bill.path.clone(),
            file_name: file_name.clone(),
            source: Some(bill.source.clone()),
            as_of: Some(bill.as_of),
            received_by: "demo".into(),
            now: running.app().now(),
        };
        let receipt = import_file(pools, request, |_, _, _| {}).await.with_context(|| file_name.clone())?;
        ensure!(receipt.state.as_str() == "published", "{file_name} was not published: {:?}", receipt.reason);
        rows += bill.row_count;
        if told.elapsed() >= PROGRESS_EVERY {
            step(format_args!("  {} of {} bills, {rows} lines", position + 1, files.bills.len()));
            told = Instant::now();
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Sent {
    headers: BTreeMap<String, String>,
    body: String,
}

async fn send_events(running: &Running, pools: &Pools, caller: &Caller, files: &DemoFiles) -> anyhow::Result<()> {
    step(format_args!("Sending {} webhooks", files.event_count));
    let (_, secret) = event_sources::add(running.app(), ACTOR, "", EVENT_SOURCE).await?;
    let mut conn = pools.jobs.acquire().await?;
    let text = tokio::fs::read_to_string(&files.events).await?;
    let secret = &secret;
    stream::iter(text.lines())
        .map(|line| async move { send(caller, secret, &serde_json::from_str(line)?).await })
        .buffered(REQUESTS_AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let (began, mut told) = (Instant::now(), Instant::now());
    loop {
        let unread = event_deliveries::counts(&mut conn).await?.unread;
        if unread == 0 {
            return Ok(());
        }
        if began.elapsed() > EVENTS_WAIT_MAX {
            bail!("{unread} webhooks were still unread after {} s", EVENTS_WAIT_MAX.as_secs());
        }
        if told.elapsed() >= PROGRESS_EVERY {
            step(format_args!("  {unread} webhooks are still to be read"));
            told = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn send(caller: &Caller, secret: &str, sent: &Sent) -> anyhow::Result<()> {
    let path = format!("/webhooks/github/{EVENT_SOURCE}");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(sent.body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let mut request = caller.request(Method::POST, &path).header("X-Hub-Signature-256", signature);
    for (name, value) in &sent.headers {
        request = request.header(name, value);
    }
    let response = request.body(sent.body.clone()).send().await?;
    succeeded(response, &path).await.map(drop)
}
