//! Cost that a rule gives a service from a day on: no release did it, and it is no anomaly.

use super::finance::{HEADER, column, time, world};
use super::support::usual_cents;
use chrono::{Days, NaiveDate};
use costwake::jobs::{anomalies, effects};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const SERVICES: [&str; 4] = ["checkout", "search", "ledger", "mail"];
/// Cents that the machines of `sub-2` cost a day, which name no service.
const SHARED_CENTS: i64 = 6000;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn bill(month: &str, last: &str) -> String {
    let first = day(&format!("{month}-01"));
    let next = first + chrono::Months::new(1);
    let mut text = format!("{HEADER}\n");
    for at in first.iter_days().take_while(|at| *at <= day(last)) {
        let own = SERVICES.iter().enumerate().map(|(index, service)| (*service, "sub-1", usual_cents(index, at)));
        for (service, account, cents) in own.chain([("", "sub-2", SHARED_CENTS)]) {
            let cost = format!("{}.{:02}", cents / 100, cents % 100);
            let tag = if service.is_empty() { String::new() } else { format!("\"\"service\"\":\"\"{service}\"\",") };
            text.push_str(&format!(
                "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{at}T00:00:00Z,{}T00:00:00Z,\
                 Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,{account},vm-{service},\
                 eu-1,sku-1,1,Hours,\"{{{tag}\"\"environment\"\":\"\"production\"\"}}\"\n",
                at + Days::new(1)
            ));
        }
    }
    text
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_a_rule_moved_is_neither_a_release_nor_an_anomaly(db: PgPool) {
    let world = world(&db).await;
    for (month, last, now) in [
        ("2026-07", "2026-07-31", "2026-08-02T06:00:00Z"),
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
        ("2026-10", "2026-10-31", "2026-11-02T06:00:00Z"),
        ("2026-11", "2026-11-18", "2026-11-19T06:00:00Z"),
    ] {
        world.import_text(&bill(month, last), now).await;
    }
    // At the front door: a new rule maps deployments again, and takes away what nobody told.
    let ingest = world.app.token(TokenScope::Ingest, Role::Finance).await;
    let deployment = json!({"id": "v1", "service": "checkout", "environment": "production", "version": "1",
                            "finished_at": "2026-10-28T12:00:00Z"});
    let told = world.app.api("POST", "/api/v1/deployments", &ingest, deployment).await;
    assert_eq!(told.status, 201, "{}", told.body);
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let rule = json!({"applies_to": "charges", "service": "checkout", "first_day": "2026-10-29",
        "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": "sub-2"}],
        "note": "Checkout takes over the shared machines."});
    let made = world.app.api("POST", "/api/v1/rules", &admin, rule).await;
    assert_eq!(made.status, 201, "{}", made.body);

    let pools = &world.app.state.pools;
    effects::settle(pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    let (phase, finding, per_day, flags): (String, String, f64, Value) =
        sqlx::query_as("SELECT phase, finding, per_day::float8, flags FROM deployment_effect")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!((phase.as_str(), finding.as_str()), ("settled", "no-material-change"), "{per_day} {flags}");
    assert!(per_day.abs() < 5.0, "{per_day}");
    let told: Vec<(&str, &str)> = flags
        .as_array()
        .unwrap()
        .iter()
        .filter(|flag| flag["kind"] == "allocation-rule")
        .map(|flag| (flag["day"].as_str().unwrap(), flag["amount_per_day"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("2026-10-29", "60")], "{flags}");

    // The causes put it to the rule, once, and no release took a part of it.
    let finance = world.finance().await;
    let csv = finance.get("/why.csv?period=2026-10-30..2026-11-17&service=checkout").await.body;
    let causes: Vec<(String, f64)> = column(&csv, "Cause")
        .into_iter()
        .zip(column(&csv, "Amount").iter().map(|amount| amount.parse().unwrap_or(0.0)))
        .collect();
    let amount = |key: &str| causes.iter().filter(|(cause, _)| cause == key).map(|(_, amount)| amount).sum::<f64>();
    assert!(amount("allocation-rules") > 900.0, "{csv}");
    assert_eq!((amount("releases-up"), amount("releases-down")), (0.0, 0.0), "{csv}");

    anomalies::detect(pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    let found: Vec<String> = sqlx::query_scalar("SELECT kind FROM anomaly").fetch_all(&db).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}
