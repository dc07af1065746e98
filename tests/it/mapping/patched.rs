//! What a change of a rule or a split by the API does not name stays as it is.

use super::finance;
use super::ledger::{costs, line, load};
use crate::ledger::{Line, bill, import_as_of};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

/// A rule that loses its conditions would take every charge.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_patched_rule_keeps_what_is_not_sent(pool: PgPool) {
    let lines = [
        line("111", json!({"service": "shop"}), 10, "10.01"),
        line("222", json!({"team": "data"}), 10, "3"),
        line("333", json!({}), 10, "5"),
    ];
    load(&pool, "a", &lines).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    app.api("POST", "/api/v1/services", &token, json!({"name": "Warehouse"})).await;
    let rule = json!({"applies_to": "charges", "service": "warehouse", "note": "Data pays for its account.",
        "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": "222"}],
        "dimensions": [{"dimension": "product", "value": "Stock"}], "first_day": "2026-10-01"});
    let made = app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    let path = format!("/api/v1/rules/{}", made["id"]);
    let before = costs(&pool).await;
    let patch = async |body: Value| app.api("PATCH", &path, &token, body).await;

    let changed = patch(json!({"last_day": "2026-10-31", "reason": "It ends."})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    let mut expected = made.clone();
    expected["last_day"] = json!("2026-10-31");
    assert_eq!(changed.json(), expected);
    assert_eq!(costs(&pool).await, before);

    // `null` takes away; the attribute stands in the place of the fixed service, and the other way round.
    let changed = patch(json!({"last_day": null, "service_from_attribute": "tag:team", "reason": "By tag."})).await;
    expected["last_day"] = Value::Null;
    expected["service"] = Value::Null;
    expected["service_from_attribute"] = json!("tag:team");
    assert_eq!(changed.json(), expected, "{}", changed.body);
    let changed = patch(json!({"service": "warehouse", "note": "Back.", "reason": "By name."})).await;
    expected["service"] = json!("warehouse");
    expected["service_from_attribute"] = Value::Null;
    expected["note"] = json!("Back.");
    assert_eq!(changed.json(), expected, "{}", changed.body);
    let both = patch(json!({"service": "warehouse", "service_from_attribute": "tag:team", "reason": "Both."})).await;
    assert_eq!(both.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", both.body);

    // Everything is asked for in so many words.
    let all = patch(json!({"conditions": [], "reason": "All of it is theirs."})).await;
    assert_eq!((all.status, &all.json()["conditions"]), (StatusCode::OK, &json!([])), "{}", all.body);
    assert_eq!(patch(json!({"note": "x"})).await.status, StatusCode::UNPROCESSABLE_ENTITY, "a change has a reason");
    let nothing = app.api("PATCH", "/api/v1/rules/999999", &token, json!({"reason": "None."})).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_patched_split_keeps_what_is_not_sent(pool: PgPool) {
    let lines = [("net", "100"), ("shop", "30"), ("search", "10")];
    let bill = bill(&lines.map(|(service, cost)| Line::of("2026-10", 3, service, cost)));
    assert_eq!(import_as_of(&pool, "first", &bill, 1).await.state, "published");
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "Network", "source": "net", "method": "fixed", "first_day": "2026-10-01",
        "targets": [{"service": "shop", "percent": "60"}, {"service": "search", "percent": "40"}],
        "reason": "All services use the network."});
    let made = app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    let path = format!("/api/v1/splits/{}", made["id"]);
    let before = costs(&pool).await;
    let patch = async |body: Value| app.api("PATCH", &path, &token, body).await;

    let renamed = patch(json!({"name": "The network", "reason": "A better name."})).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.body);
    let mut expected = made.clone();
    expected["name"] = json!("The network");
    expected["version"] = json!(2);
    assert_eq!(renamed.json(), expected);
    assert_eq!(costs(&pool).await, before);

    let refused = patch(json!({"method": "even", "reason": "The same for all."})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "its percentages do not fit: {}", refused.body);
    let even = patch(json!({"method": "even", "targets": [{"service": "shop"}], "first_day": null, "reason": "One."}));
    let even = even.await;
    expected["method"] = json!("even");
    expected["targets"] = json!([{"service": "shop"}]);
    expected["first_day"] = Value::Null;
    expected["version"] = json!(3);
    assert_eq!(even.json(), expected, "{}", even.body);
}
