//! Rules that hold on some charge days only, name teams and dimensions, look at any column, and keep their versions.

use super::finance;
use super::ledger::{Line, costs, differences, line, load};
use crate::finance::column;
use crate::support::{TestApp, count, pools};
use axum::http::StatusCode;
use costwake::rollup::{remap, verify};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

fn bill() -> Vec<Line> {
    vec![
        line("111", json!({"service": "shop"}), 10, "10.01"),
        line("111", json!({"service": "shop"}), 20, "20.02"),
        line("222", json!({"team": "data"}), 10, "3"),
        line("222", json!({"team": "data"}), 20, "5"),
    ]
}

async fn add(app: &TestApp, token: &str, rule: Value) -> i64 {
    let made = app.api("POST", "/api/v1/rules", token, rule).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.json()["id"].as_i64().unwrap()
}

async fn holds(pool: &PgPool) {
    assert_eq!(differences(pool).await, 0);
    let report = remap::remap(&pools(pool), "test", super::now()).await.unwrap();
    assert_eq!((report.keys_moved, report.publication_id), (0, None), "asked again, the rules say the same");
}

/// One key has two owners by charge day; what moved is told apart from what changed, and no total moves.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_key_changes_hands_on_a_day(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    app.api("POST", "/api/v1/services", &token, json!({"name": "Kiosk"})).await;
    let rule = json!({"applies_to": "charges", "service": "kiosk", "place": "first", "first_day": "2026-10-15",
        "conditions": [{"attribute": "tag:service", "operator": "regex", "value": "^SHOP$"}],
        "note": "The kiosk takes over the shop's account."});
    let url = "/rules/preview?applies_to=charges&attribute=tag:service&operator=regex&value=%5EShop%24&service=kiosk\
               &place=first&first_day=2026-10-15";
    let preview = app.get(url).await;
    assert!(preview.body.contains("It would take 1 kind of charge ($20.02"), "{}", preview.body);
    assert!(preview.body.contains("charges from 2026-10-15 on"));
    let id = add(&app, &token, rule.clone()).await;
    assert_eq!(costs(&pool).await, ["-/- 8 USD", "kiosk/- 20.02 USD", "shop/- 10.01 USD"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM key_mapping").await, 3);
    holds(&pool).await;

    let page = app.get("/services/kiosk?period=2026-10-16..2026-10-25").await;
    assert!(page.body.contains("Moved by rules") && page.body.contains("Moved here by rule 1"), "{}", page.body);
    // Of +$20.02, the $10.01 of the days before would have been the kiosk's too: that much moved, the rest is spend.
    assert!(page.body.contains("+$10.01"), "{}", page.body);
    // The causes say the same: half of the change is the rule, the other half is more cost of the same charges.
    for (query, rule, change) in [("service=kiosk", "10.01", "20.02"), ("service=shop", "-10.01", "-10.01")] {
        let query = format!("/why.csv?period=2026-10-16..2026-10-25&{query}");
        let csv = app.get(&query).await;
        let causes: Vec<(String, bigdecimal::BigDecimal)> = column(&csv.body, "Cause")
            .into_iter()
            .zip(column(&csv.body, "Amount").iter().map(|amount| amount.parse().unwrap()))
            .collect();
        let amount = |text: &str| text.parse::<bigdecimal::BigDecimal>().unwrap();
        assert_eq!(causes.iter().map(|(_, one)| one).sum::<bigdecimal::BigDecimal>(), amount(change), "{}", csv.body);
        let by_rule = causes.iter().find(|(cause, _)| cause == "allocation-rules").map(|(_, one)| one.clone());
        assert_eq!(by_rule, Some(amount(rule)), "{}", csv.body);
    }
    // Another rule before it takes nothing, so that nothing is published: the number is another at once all the same.
    let before = json!({"applies_to": "charges", "service": "kiosk", "place": "first", "note": "Nothing yet.",
        "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": "999"}]});
    let publications = count(&pool, "SELECT count(*) FROM publication").await;
    let nothing = add(&app, &token, before).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM publication").await, publications);
    let page = app.get("/services/kiosk?period=2026-10-16..2026-10-25").await;
    assert!(page.body.contains("Moved here by rule 2"), "{}", page.body);
    let deleted = app.api("POST", &format!("/api/v1/rules/{nothing}/delete"), &token, Value::Null).await;
    assert!(deleted.status.is_success(), "{}", deleted.body);
    let charges = app.get("/charges?service=kiosk&period=2026-10-01..2026-10-31").await;
    assert!(charges.body.contains("20.02") && !charges.body.contains("10.01"), "{}", charges.body);

    // A bill that comes later is mapped by the same days.
    load(&pool, "b", &bill()).await;
    assert_eq!(costs(&pool).await, ["-/- 16 USD", "kiosk/- 40.04 USD", "shop/- 20.02 USD"]);
    let mut ended = rule;
    ended["last_day"] = json!("2026-10-19");
    ended["reason"] = json!("It ended.");
    let changed = app.api("PATCH", &format!("/api/v1/rules/{id}"), &token, ended).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!(costs(&pool).await, ["-/- 16 USD", "shop/- 60.06 USD"]);
    holds(&pool).await;
    let checks = verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    let allocation = checks.iter().find(|check| check.name.starts_with("Own cost of services")).unwrap();
    assert!(allocation.differences.is_empty(), "{:?}", allocation.differences);
    // 0.01 that sits at the wrong service is found.
    sqlx::query("UPDATE daily_cost SET effective_cost = effective_cost + 0.01 WHERE service_id = 0")
        .execute(&pool)
        .await
        .unwrap();
    let checks = verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert!(
        !checks.iter().find(|check| check.name.starts_with("Own cost of services")).unwrap().differences.is_empty()
    );
}

/// Each save keeps who, when and why; any version can be restored, and mapping follows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn versions_are_kept_and_come_back(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    app.api("POST", "/api/v1/services", &token, json!({"name": "Warehouse"})).await;
    let rule = |account: &str, reason: Option<&str>| {
        json!({"applies_to": "charges", "service": "warehouse", "reason": reason,
            "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": account}]})
    };
    let refused = app.api("POST", "/api/v1/rules", &token, rule("222", None)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("Say why"), "{}", refused.body);
    let id = add(&app, &token, rule("222", Some("Data pays for its account."))).await;
    assert_eq!(costs(&pool).await, ["shop/- 30.03 USD", "warehouse/- 8 USD"]);
    let path = format!("/api/v1/rules/{id}");
    assert_eq!(app.api("PATCH", &path, &token, rule("999", Some("Wrong account."))).await.status, StatusCode::OK);
    assert_eq!(costs(&pool).await, ["-/- 8 USD", "shop/- 30.03 USD"]);

    let history = app.get(&format!("/rules/{id}/history")).await;
    assert!(history.body.contains("Data pays for its account.") && history.body.contains("Wrong account."));
    assert!(history.body.contains("changed: conditions"), "{}", history.body);
    let path = format!("/rules/{id}/history/restore");
    assert_eq!(app.post_form(&path, &[("version", "1"), ("reason", " ")]).await.status, StatusCode::BAD_REQUEST);
    let restored = app.post_form(&path, &[("version", "1"), ("reason", "It was right.")]).await;
    assert_eq!(restored.status, StatusCode::SEE_OTHER, "{}", restored.body);
    assert_eq!(costs(&pool).await, ["shop/- 30.03 USD", "warehouse/- 8 USD"]);
    holds(&pool).await;
    app.post_form(&format!("/rules/{id}/delete"), &[("reason", "Not so.")]).await;
    let history = app.get(&format!("/rules/{id}/history")).await;
    assert!(history.body.contains("The rule is deleted"), "its versions stay");
    assert_eq!(app.post_form(&path, &[("version", "1"), ("reason", "x")]).await.status, StatusCode::CONFLICT);
    assert_eq!(app.get("/rules/999999/history").await.status, StatusCode::NOT_FOUND);
}

/// A team gets what has no service; dimensions have pages of their own whose rows add up.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn teams_and_dimensions(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    app.post_form("/catalogue/add-team", &[("name", "Data"), ("cost_center", "CC-7")]).await;
    let rule = json!({"applies_to": "charges", "team_from_attribute": "tag:team", "note": "The tag names the team.",
        "dimensions": [{"dimension": "tier", "from_attribute": "tag:team"}]});
    add(&app, &token, rule).await;
    assert_eq!(costs(&pool).await, ["shop/- 30.03 USD", "team-data/- 8 USD"]);
    let rule = json!({"applies_to": "charges", "note": "The shop is a product.",
        "conditions": [{"attribute": "tag:service", "operator": "one-of", "value": "shop, kiosk"}],
        "dimensions": [{"dimension": "product", "value": "Shop"}]});
    add(&app, &token, rule).await;
    holds(&pool).await;
    assert!(app.get("/teams?period=2026-10").await.body.contains("$8.00"));
    let csv = |name: &'static str| {
        let app = app.clone();
        async move { app.get(&format!("/dimensions/{name}.csv?period=2026-10")).await.body }
    };
    assert!(csv("product").await.contains("product,Shop,USD,30.03,"), "{}", csv("product").await);
    assert!(csv("product").await.contains("product,No value,USD,8,"));
    assert!(csv("cost_center").await.contains("cost_center,CC-7,USD,8,"), "{}", csv("cost_center").await);
    assert!(csv("tier").await.contains("tier,data,USD,8,"));
    let page = app.get("/dimensions/product?period=2026-10").await;
    assert!(page.body.contains("$38.03") && page.body.contains("No value"), "{}", page.body);
    assert_eq!(app.get("/dimensions/color").await.status, StatusCode::NOT_FOUND);
    assert!(app.get("/dimensions").await.body.contains("/dimensions/tier"));
    let read = async |path: &str| app.api("GET", path, &token, serde_json::Value::Null).await;
    let names = read("/api/v1/dimensions").await.json();
    assert!(names.as_array().unwrap().iter().any(|one| one["name"] == "tier"), "{names}");
    let product = read("/api/v1/dimensions/product?period=2026-10").await.json();
    let values: Vec<_> = product["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["value"].clone(), one["billing_currency"].clone(), one["cost"].clone()))
        .collect();
    let row = |value: serde_json::Value, cost: &str| (value, json!("USD"), json!(cost));
    assert_eq!(values, [row(json!("Shop"), "30.03"), row(serde_json::Value::Null, "8")], "{product}");
    assert_eq!((&product["first_day"], &product["last_day"]), (&json!("2026-10-01"), &json!("2026-10-31")));
    assert_eq!(read("/api/v1/dimensions/color").await.status, StatusCode::NOT_FOUND);
    assert_eq!(read("/api/v1/dimensions/product?period=moon").await.status, StatusCode::BAD_REQUEST);
}

/// Only the team that a rule gives something gets an entry for what has no service, as the preview said, and it goes
/// with the rule. One that holds something else stays.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rule_for_one_team_adds_nothing_to_others(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    for team in ["Data", "Search", "Web"] {
        app.post_form("/catalogue/add-team", &[("name", team)]).await;
    }
    let entries = async || {
        let slugs = "SELECT coalesce(string_agg(slug, ' ' ORDER BY slug), '') FROM service
                     WHERE share_of_team_id IS NOT NULL";
        sqlx::query_scalar::<_, String>(slugs).fetch_one(&pool).await.unwrap()
    };
    let rule = json!({"applies_to": "charges", "team": "data", "note": "The team pays for its account.",
        "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": "222"}]});
    let path = async |rule: &Value| format!("/api/v1/rules/{}", add(&app, &token, rule.clone()).await);
    let first = path(&rule).await;
    assert_eq!(costs(&pool).await, ["shop/- 30.03 USD", "team-data/- 8 USD"]);
    assert_eq!(entries().await, "team-data");
    holds(&pool).await;
    // A bill that names the next team adds its entry as it is loaded.
    let by_tag = json!({"applies_to": "charges", "team_from_attribute": "tag:team", "note": "The tag names the team."});
    let second = path(&by_tag).await;
    assert_eq!(entries().await, "team-data");
    load(&pool, "b", &[line("333", json!({"team": "search"}), 10, "4")]).await;
    assert_eq!(entries().await, "team-data team-search");
    assert_eq!(costs(&pool).await, ["shop/- 30.03 USD", "team-data/- 8 USD", "team-search/- 4 USD"]);

    let delete = async |path: &str| {
        let deleted = app.api("POST", &format!("{path}/delete"), &token, Value::Null).await;
        assert!(deleted.status.is_success(), "{}", deleted.body);
    };
    delete(&second).await;
    assert_eq!(entries().await, "team-data");
    // Nothing that people wrote goes with a rule.
    sqlx::query(
        "INSERT INTO service_alias (alias, service_id) SELECT 'data leftovers', service_id FROM service
         WHERE slug = 'team-data'",
    )
    .execute(&pool)
    .await
    .unwrap();
    delete(&first).await;
    assert_eq!(costs(&pool).await, ["-/- 12 USD", "shop/- 30.03 USD"]);
    assert_eq!(entries().await, "team-data");
    sqlx::query("DELETE FROM service_alias").execute(&pool).await.unwrap();
    let report = remap::remap(&pools(&pool), "test", super::now()).await.unwrap();
    assert_eq!((report.entries_removed, report.publication_id.is_some()), (1, true));
    assert_eq!(entries().await, "");
    holds(&pool).await;
}
