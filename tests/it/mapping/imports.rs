//! Rules and the real loader together.

use super::ledger::{costs, differences};
use super::{finance, now};
use crate::support::pools;
use axum::http::StatusCode;
use costwake::focus::columns;
use costwake::rollup::import::{Limits, Stage};
use costwake::rollup::{self, ImportRequest, remap, verify};
use costwake::store::Role;
use costwake::store::receipts::Receipt;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

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

// Once, while a file is read: a rule on a tag that no rule looked at before.
fn save_a_rule() {
    static IS_SAVED: AtomicBool = AtomicBool::new(false);
    if IS_SAVED.swap(true, Ordering::Relaxed) {
        return;
    }
    let pool = SAVED_IN.get().unwrap().clone();
    tokio::runtime::Handle::current().block_on(async move {
        let rule = "INSERT INTO mapping_rule (position, applies_to, conditions, service_from_attribute,
                adds_to_catalogue, created_by)
            VALUES (1000, 'both', '[{\"attribute\":\"tag:cell\",\"operator\":\"present\",\"value\":\"\"}]', 'tag:cell',
                true, 'test')";
        sqlx::query(rule).execute(&pool).await.unwrap();
        assert_eq!(remap::remap(&pools(&pool), "test", now()).await.unwrap().groups_keyed, 2);
    });
}

static SAVED_IN: OnceLock<PgPool> = OnceLock::new();

/// A load that begins by old rules leaves no group on their keys, also where nothing of it is counted in the end.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_refused_bill_that_was_begun_by_old_rules_moves_no_group_back(pool: PgPool) {
    let lines =
        [("arn:a", r#"{"cell": "c7", "service": "shop"}"#, Some("4.5")), ("arn:b", r#"{"cell": "c8"}"#, Some("1"))];
    assert_eq!(import(&pool, "early", &bill(&lines)).await.state, "published");
    SAVED_IN.set(pool.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv");
    std::fs::write(&path, bill(&[lines[0], (lines[1].0, lines[1].1, Some("2"))])).unwrap();
    let request = ImportRequest {
        path,
        file_name: "bill.csv".into(),
        source: Some("early".into()),
        as_of: Some(now() - chrono::Duration::days(1)),
        received_by: "test".into(),
        now: now(),
    };
    let limits = Limits { dies_at: Some(Stage::Rows(1)), instead_of_dying: Some(save_a_rule), ..Limits::default() };
    let options = rollup::ImportOptions { limits, ..rollup::ImportOptions::default() };
    let older = rollup::import_with(&pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert_eq!(older.state, "refused", "{:?}", older.reason);
    assert_eq!(costs(&pool).await, ["c8/- 1 USD", "shop/- 4.5 USD"]);
    let keyed = "SELECT count(*) FROM charge_group JOIN rollup_key USING (sub_account_key, rollup_key_id)
                 WHERE mapping_tags ? 'cell'";
    assert_eq!(crate::support::count(&pool, keyed).await, 2);
    assert_eq!(misplaced(&pool).await, (2, 0));

    // One that an earlier version left there is found, and put right.
    let back = "UPDATE charge_group g SET rollup_key_id = k.rollup_key_id FROM rollup_key k
                WHERE g.resource_id = 'arn:b' AND k.mapping_tags = '{}'";
    assert_eq!(sqlx::query(back).execute(&pool).await.unwrap().rows_affected(), 1);
    assert_eq!(misplaced(&pool).await, (2, 1));
    assert_eq!(import(&pool, "late", &bill(&lines)).await.state, "published");
    assert_eq!(misplaced(&pool).await, (2, 1), "a load hides nothing of it");
    rollup::rebuild::rebuild(&pools(&pool), "test", now(), |_, _| {}).await.unwrap();
    assert_eq!(misplaced(&pool).await, (2, 0));
    assert_eq!(costs(&pool).await, ["c8/- 2 USD", "shop/- 9 USD"]);
    assert_eq!(differences(&pool).await, 0);
    for check in verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap() {
        assert!(check.differences.is_empty(), "{}: {:?}", check.name, check.differences);
    }
}

/// A tag is found in the groups that have it whatever letters it has, by rules and by loads alike.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_tag_beyond_ascii_is_kept_apart_in_what_is_there(pool: PgPool) {
    let lines = [("arn:a", r#"{"MAßSTAB-Ä": "c7"}"#, Some("4.5")), ("arn:b", r#"{"maßstab-Ä": "c8"}"#, Some("1"))];
    assert_eq!(import(&pool, "early", &bill(&lines)).await.state, "published");
    let app = finance(&pool).await;
    let by_tag =
        [("attribute", "tag:Maßstab-Ä"), ("operator", "present"), ("value", ""), ("service_by", "tag:Maßstab-Ä")];
    let saved = app.post_form("/rules", &[by_tag.as_slice(), &[("adds", "yes"), ("reason", "test")]].concat()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(costs(&pool).await, ["c7/- 4.5 USD", "c8/- 1 USD"]);
    assert_eq!(import(&pool, "late", &bill(&lines)).await.state, "published");
    assert_eq!(costs(&pool).await, ["c7/- 9 USD", "c8/- 2 USD"]);
    assert_eq!(misplaced(&pool).await, (2, 0));
}

// Groups that were looked at, and those under a key that the rules do not give them.
async fn misplaced(pool: &PgPool) -> (i64, usize) {
    let checks = verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    let check =
        checks.into_iter().find(|check| check.name.starts_with("The rollup key of every charge group")).unwrap();
    (check.checked, check.differences.len())
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
