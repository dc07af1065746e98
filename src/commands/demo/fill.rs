//! Takes the demo organisation in as users do: catalogue, usage, shared costs, rates, invoices and closed months by API,
//! bills by import, events by signed webhooks.

use super::client::Caller;
use super::{events, step};
use crate::commands::running::Running;
use crate::demo::{DemoFiles, REPORTING_CURRENCY};
use crate::jobs::{anomalies, effects, forecasts};
use crate::patience::Patience;
use crate::rollup::{ImportRequest, import_file};
use crate::store::tokens::TokenScope;
use crate::store::{Pools, Role, accounts};
use crate::web::account_changes::By;
use crate::web::tokens::{self, Wanted};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Who the audit log says it was.
pub const ACTOR: &str = "demo";
/// Values of a metric in one request.
const POINTS_AT_ONCE: usize = 5000;
/// Between two lines of progress.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Everything, in the order in which an installation is set up.
pub async fn take_in(running: &Running, pools: &Pools, files: &DemoFiles) -> anyhow::Result<()> {
    let caller = Caller::new(running.address())?;
    step(format_args!("Adding {} teams and {} services", files.teams.len(), files.services.len()));
    let mut conn = pools.jobs.acquire().await?;
    let admin = accounts::find(&mut conn, "admin").await?.context("the first administrator is missing")?;
    drop(conn);
    let app = running.app();
    let by = || By { actor: ACTOR.into(), address: String::new(), now: app.now() };
    let wanted = Wanted { name: "demo set-up", scope: TokenScope::Admin, expires_days: Some(1) };
    let (_, token) = tokens::make(app, by(), (admin, Role::Admin), wanted).await?;
    fill_catalogue(&caller, &token.secret, files).await?;
    take_bills(running, pools, files).await?;
    send_traffic(&caller, &token.secret, files).await?;
    send_utilization(&caller, &token.secret, files).await?;
    settle(&caller, &token.secret, files).await?;
    events::send(running, pools, &caller, files).await?;
    events::pin(running, pools, (&caller, &token.secret), files).await?;
    tokens::end(app, by(), None, token.api_token_id).await?;
    step(format_args!("Working out what each release did to cost"));
    let patience = Patience::shown("still working out what releases did");
    let settled = effects::settle(pools, running.app().now()).await?;
    drop(patience);
    step(format_args!("  {} releases have a verdict", settled.release_count));
    step(format_args!("Looking for unusual cost, and forecasting"));
    let _patience = Patience::shown("still looking");
    let detected = anomalies::detect(pools, running.app().now()).await?;
    let forecasted = forecasts::forecast(pools, running.app().now()).await?;
    let counts = (detected.series_count, forecasted.forecast_count);
    step(format_args!("  {} series of cost were looked at, {} forecasts made", counts.0, counts.1));
    Ok(())
}

/// Requests of each service in production, by day.
async fn send_traffic(caller: &Caller, secret: &str, files: &DemoFiles) -> anyhow::Result<()> {
    let text = tokio::fs::read_to_string(&files.traffic).await?;
    let lines: Vec<&str> = text.lines().skip(1).collect();
    step(format_args!("Sending {} values of requests", lines.len()));
    let production = files.environments.iter().find(|environment| environment.kind == "production");
    let production = &production.context("the demo has no production")?.slug;
    for lines in lines.chunks(POINTS_AT_ONCE) {
        let point = |line: &&str| {
            let mut cells = line.split(',');
            let (day, service, requests) = (cells.next(), cells.next(), cells.next());
            json!({"time": day, "service": service, "value": requests, "environment": production})
        };
        let points: Vec<Value> = lines.iter().map(point).collect();
        caller.post_json("/api/v1/metrics/requests/points", secret, &json!({"points": points})).await?;
    }
    Ok(())
}

/// How much of what is provided each service uses in production and staging, by day.
async fn send_utilization(caller: &Caller, secret: &str, files: &DemoFiles) -> anyhow::Result<()> {
    let text = tokio::fs::read_to_string(&files.utilization).await?;
    let lines: Vec<&str> = text.lines().skip(1).collect();
    step(format_args!("Sending {} values of utilization", lines.len()));
    for lines in lines.chunks(POINTS_AT_ONCE) {
        let point = |line: &&str| {
            let mut cells = line.split(',');
            let (day, service, environment, percent) = (cells.next(), cells.next(), cells.next(), cells.next());
            json!({"time": day, "service": service, "value": percent, "environment": environment})
        };
        let points: Vec<Value> = lines.iter().map(point).collect();
        caller.post_json("/api/v1/metrics/utilization/points", secret, &json!({"points": points})).await?;
    }
    Ok(())
}

async fn fill_catalogue(caller: &Caller, secret: &str, files: &DemoFiles) -> anyhow::Result<()> {
    let post = async |path: &str, body: Value| caller.post_json(path, secret, &body).await;
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
            "applies_to": rule.applies_to, "conditions": [condition], "service": rule.service_slug,
            "environment": rule.environment_slug, "note": rule.note,
        });
        post("/api/v1/rules", body).await?;
    }
    Ok(())
}

/// What finance does once the bills are in, in the order in which it does it.
async fn settle(caller: &Caller, secret: &str, files: &DemoFiles) -> anyhow::Result<()> {
    let (splits, invoices, months) = (files.splits.len(), files.invoices.len(), files.closed_months.len());
    step(format_args!("Dividing {splits} shared cost, recording {invoices} invoices, closing {months} months"));
    let post = async |path: &str, body: Value| caller.post_json(path, secret, &body).await;
    for split in &files.splits {
        let body = json!({
            "name": split.name, "source": split.source_slug, "method": split.method, "reason": split.reason,
        });
        post("/api/v1/splits", body).await?;
    }
    post("/api/v1/rates/reporting-currency", json!({ "currency": REPORTING_CURRENCY })).await?;
    for rate in &files.rates {
        let body = json!({
            "billing_month": rate.month.format("%Y-%m").to_string(), "billing_currency": rate.billing_currency,
            "rate": rate.rate, "reason": "The rate of the month that group accounting sent round.",
        });
        post("/api/v1/rates", body).await?;
    }
    for invoice in &files.invoices {
        let body = json!({
            "invoice_id": invoice.invoice_id, "invoice_issuer_name": invoice.invoice_issuer_name,
            "billing_currency": invoice.billing_currency, "total": invoice.total,
            "billing_month": invoice.month.format("%Y-%m").to_string(), "issue_date": invoice.issue_date,
            "due_date": invoice.due_date,
        });
        let entered = post("/api/v1/invoices", body).await?;
        if let Some(item) = &invoice.item {
            let entered: Value = serde_json::from_str(&entered).context("the invoice that was recorded")?;
            let path = format!("/api/v1/invoices/{}/items", entered["id"]);
            post(&path, json!({ "amount": item.amount, "reason": item.reason })).await?;
        }
    }
    for month in &files.closed_months {
        let path = format!("/api/v1/months/{}/close", month.format("%Y-%m"));
        post(&path, json!({ "reason": "All bills are in and the invoices are checked." })).await?;
    }
    Ok(())
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
