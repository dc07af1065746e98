//! Rules and the real loader together.

use super::ledger::{costs, differences};
use super::{finance, now};
use crate::support::pools;
use axum::http::StatusCode;
use costwake::focus::columns;
use costwake::rollup::{self, ImportRequest, remap, verify};
use costwake::store::Role;
use costwake::store::receipts::Receipt;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

/// A bill of one account with a line for each of these tags; `None` is a line that cannot be read.
fn bill(lines: &[(&str, &str, Option<&str>)]) -> String {
    let mut names: Vec<&str> = columns::MANDATORY.to_vec();
    for name in ["Tags", "ResourceId", "ResourceName", "ResourceType", "ChargeDescription", "SkuMeter"] {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut text = names.join(",") + "\n";
    for (resource, tags, cost) in lines {
        let cells = names.iter().map(|name| match *name {
            "BilledCost" | "EffectiveCost" | "ListCost" | "ContractedCost" => cost.unwrap_or("ten").to_owned(),
            "BillingAccountId" => "acct-1".into(),
            "BillingCurrency" => "USD".into(),
            "BillingPeriodStart" => "2026-10-01T00:00:00Z".into(),
            "BillingPeriodEnd" => "2026-11-01T00:00:00Z".into(),
            "ChargePeriodStart" => "2026-10-30T00:00:00Z".into(),
            "ChargePeriodEnd" => "2026-10-31T00:00:00Z".into(),
            "ChargeCategory" => "Usage".into(),
            "ServiceCategory" => "Compute".into(),
            "Tags" => format!("\"{}\"", tags.replace('"', "\"\"")),
            "ResourceId" => (*resource).to_owned(),
            "ResourceName" | "ResourceType" | "ChargeDescription" | "SkuMeter" => format!("{name} of {resource}"),
            _ => "x".into(),
        });
        text += &(cells.collect::<Vec<_>>().join(",") + "\n");
    }
    text
}

async fn import(pool: &PgPool, name: &str, text: &str) -> Receipt {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv");
    std::fs::write(&path, text).unwrap();
    let request = ImportRequest {
        path,
        file_name: "bill.csv".into(),
        source: Some(name.into()),
        as_of: None,
        received_by: "test".into(),
        now: now(),
    };
    // Several sources have the same bill here, and all of them are meant.
    let options = rollup::ImportOptions { is_counted_elsewhere_too: true, ..rollup::ImportOptions::default() };
    rollup::import_with(&pools(pool), request, options, |_, _, _| {}).await.unwrap()
}

/// A loader's keys and those of a rule that came later are the same; a bill that waited to be accepted knows the rule.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn bills_before_and_after_a_rule_agree(pool: PgPool) {
    let lines =
        [("arn:a", r#"{"cell": "c7", "service": "shop"}"#, Some("4.5")), ("arn:b", r#"{"cell": "c8"}"#, Some("1"))];
    assert_eq!(import(&pool, "early", &bill(&lines)).await.state, "published");
    let broken = [lines[0], ("arn:b", r#"{"cell": "c8"}"#, Some("2")), ("arn:b", "{}", None)];
    let waiting = import(&pool, "waiting", &bill(&broken)).await;
    assert_eq!(waiting.state, "quarantined", "{:?}", waiting.reason);
    assert_eq!(costs(&pool).await, ["-/- 1 USD", "shop/- 4.5 USD"]);

    let app = finance(&pool).await;
    let by_cell = [("attribute", "tag:cell"), ("operator", "present"), ("value", ""), ("service_by", "tag:cell")];
    let saved = app.post_form("/rules", &[by_cell.as_slice(), &[("adds", "yes"), ("reason", "test")]].concat()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(costs(&pool).await, ["c8/- 1 USD", "shop/- 4.5 USD"]);

    let keys = "SELECT count(*) FROM rollup_key WHERE mapping_tags ? 'cell'";
    let keyed = crate::support::count(&pool, keys).await;
    assert_eq!(keyed, 2);
    // The same bill from another source, which is meant: it counts there too.
    assert_eq!(import(&pool, "late", &bill(&lines)).await.state, "published");
    assert_eq!(crate::support::count(&pool, keys).await, keyed, "the loader meets the same keys");
    rollup::accept(&pools(&pool), waiting.delivery_id, rollup::Person { login: "test", address: "" }, now())
        .await
        .unwrap();
    assert_eq!(costs(&pool).await, ["c8/- 4 USD", "shop/- 13.5 USD"]);
    assert_eq!(differences(&pool).await, 0);
    let mut conn = pool.acquire().await.unwrap();
    for check in verify::verify(&mut conn).await.unwrap() {
        assert!(check.differences.is_empty(), "{}: {:?}", check.name, check.differences);
    }
    let report = remap::remap(&pools(&pool), "test", now()).await.unwrap();
    assert_eq!((report.keys_moved, report.groups_keyed), (0, 0));
}

/// What a rule looks at of single lines is found in whichever column it stands, whatever its letter case, and the next
/// load knows it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rule_may_look_at_each_text_of_a_line(pool: PgPool) {
    let text = bill(&[("arn:a", "{}", Some("4.5")), ("arn:b", "{}", Some("1"))]);
    assert_eq!(import(&pool, "early", &text).await.state, "published");
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let looked_at = [
        ("resource_id", "ARN:A"),
        ("resource_name", "resourcename of ARN:A"),
        ("resource_type", "resourcetype of ARN:A"),
        ("charge_description", "chargedescription of ARN:A"),
        ("column:SkuMeter", "skumeter of ARN:A"),
    ];
    for (index, (attribute, value)) in looked_at.into_iter().enumerate() {
        let service = format!("service-{index}");
        app.api("POST", "/api/v1/services", &token, json!({"name": service})).await;
        let rule = json!({"applies_to": "charges", "note": "test", "service": service, "place": "first",
            "conditions": [{"attribute": attribute, "operator": "equals", "value": value}]});
        let made = app.api("POST", "/api/v1/rules", &token, rule).await;
        assert_eq!(made.status, StatusCode::CREATED, "{attribute}: {}", made.body);
        assert_eq!(costs(&pool).await, ["-/- 1 USD".to_owned(), format!("{service}/- 4.5 USD")], "{attribute}");
        assert_eq!(differences(&pool).await, 0, "{attribute}");
    }
    assert_eq!(import(&pool, "late", &text).await.state, "published");
    assert_eq!(costs(&pool).await, ["-/- 2 USD", "service-4/- 9 USD"]);
    let report = remap::remap(&pools(&pool), "test", now()).await.unwrap();
    assert_eq!((report.keys_moved, report.groups_keyed), (0, 0));
}
