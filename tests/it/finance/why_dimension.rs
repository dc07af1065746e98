//! Why spend changed of one value of a dimension: the same figures as the dimension's page and its lines, on every face.

use super::why::{amount, amounts, daily};
use super::{Line, World, decimal, sum, texts, world};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const QUERY: &str = "period=2026-10-01..2026-10-30&vs=2026-09";

/// Two services in two months. The one is a product in both, the other from October on.
async fn seeded(db: &PgPool) -> World {
    let world = world(db).await;
    let mut september = daily("2026-09", 1..=30, "10", "checkout");
    september.extend(daily("2026-09", 1..=30, "4", "search"));
    world.import(&september, "2026-10-01T06:00:00Z").await;
    let mut october = daily("2026-10", 1..=30, "12", "checkout");
    october.extend(daily("2026-10", 1..=30, "5", "search"));
    october.push(Line { cost: "-3.5", category: "Credit", ..Line::default() });
    world.import(&october, "2026-11-01T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    for rule in [
        json!({"applies_to": "charges", "note": "The shop.",
            "conditions": [{"attribute": "tag:service", "operator": "one-of", "value": "checkout"}],
            "dimensions": [{"dimension": "product", "value": "Shop"}]}),
        json!({"applies_to": "charges", "note": "A product of its own.", "first_day": "2026-10-01",
            "conditions": [{"attribute": "tag:service", "operator": "one-of", "value": "search"}],
            "dimensions": [{"dimension": "product", "value": "Search"}]}),
    ] {
        let made = world.app.api("POST", "/api/v1/rules", &token, rule).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    world
}

fn total(csv: &str) -> BigDecimal {
    sum(csv, "Amount")
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_values_of_a_dimension_add_up_to_all(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let csv = async |value: &str| finance.get(&format!("/why.csv?{QUERY}&dimension={value}")).await.body;
    let (shop, search, none) = (csv("product:Shop").await, csv("product:Search").await, csv("product:none").await);
    assert_eq!((total(&shop), total(&search), total(&none)), (decimal("56.5"), decimal("150"), decimal("-120")));
    let all = finance.get(&format!("/why.csv?{QUERY}")).await.body;
    assert_eq!(total(&shop) + total(&search) + total(&none), total(&all), "{all}");

    // What a rule gave another value is no change of spend.
    assert_eq!(amount(&amounts(&shop), "credits"), decimal("-3.5"), "{shop}");
    assert_eq!(amount(&amounts(&shop), "allocation-rules"), decimal("0"), "{shop}");
    assert_eq!(amount(&amounts(&search), "allocation-rules"), decimal("150"), "{search}");
    assert_eq!(amount(&amounts(&none), "allocation-rules"), decimal("-150"), "{none}");

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/why?{QUERY}&dimension=product:Shop");
    let api = world.app.api("GET", &path, &token, Value::Null).await.json();
    assert_eq!((&api["changes"][0]["cost"], &api["changes"][0]["compared_cost"]), (&json!("356.5"), &json!("300")));
    assert_eq!(api["notes"], json!([]), "{api}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_dimension_is_chosen_on_the_page_and_kept_on_the_way_to_lines(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let page = finance.get(&format!("/why?{QUERY}&dimension=product:Shop")).await.body;
    assert!(page.contains("name=\"dimension\" value=\"product:Shop\""), "{page}");
    assert!(page.contains("<option value=\"product:Search\">product Search</option>"), "{page}");
    assert!(page.contains("/charges?dimension=product%3AShop"), "{page}");
    assert!(page.contains("shared costs are no cause here"), "{page}");
    let rows = texts(&page, "table.bridge tbody tr");
    assert!(rows.iter().any(|row| row.contains("Credits")), "{rows:?}");
    // The dimension's page leads here.
    let from = finance.get("/dimensions/product?period=2026-10-01..2026-10-30").await.body;
    assert!(from.contains("/why?period=2026-10-01..2026-10-30"), "{from}");
    assert!(from.contains("dimension=product%3Anone"), "{from}");
    for (wrong, why) in [("color:red", "dimension=color:red is not known"), ("product", "like product:Shop")] {
        let refused = finance.get(&format!("/why?{QUERY}&dimension={wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(refused.body.contains(why), "{}", refused.body);
    }
}

/// A cost center that no rule names is that of the service's team, which changes without a publication; a member is told
/// of the own teams only.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_cost_center_is_that_of_the_team(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let sql = "INSERT INTO team (slug, name, cost_center) VALUES ('find', 'Find', 'CC-7') RETURNING team_id";
    let team_id: i64 = sqlx::query_scalar(sql).fetch_one(&db).await.unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'search'").bind(team_id).execute(&db).await.unwrap();
    let of = async |center: &str| finance.get(&format!("/why.csv?{QUERY}&dimension=cost_center:{center}")).await.body;
    assert_eq!((total(&of("CC-7").await), total(&of("CC-8").await)), (decimal("30"), decimal("0")));
    sqlx::query("UPDATE team SET cost_center = 'CC-8'").execute(&db).await.unwrap();
    assert_eq!((total(&of("CC-7").await), total(&of("CC-8").await)), (decimal("0"), decimal("30")));
    let member = world.app.browser(Role::Member, false, &[team_id]).await;
    let shop = member.get(&format!("/why.csv?{QUERY}&dimension=product:Shop")).await.body;
    assert_eq!(shop.lines().count(), 1, "{shop}");
    let own = member.get(&format!("/why.csv?{QUERY}&dimension=cost_center:CC-8")).await.body;
    assert_eq!(total(&own), decimal("30"), "{own}");
}

/// A rule that gives a dimension another value moves no cost from service to service, and what was kept goes all the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn another_value_of_a_dimension_shows_at_once(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let csv = async |value: &str| finance.get(&format!("/why.csv?{QUERY}&dimension=product:{value}")).await.body;
    assert_eq!((total(&csv("Shop").await), total(&csv("Search").await)), (decimal("56.5"), decimal("150")));
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let rules = world.app.api("GET", "/api/v1/rules", &token, Value::Null).await.json();
    let rules = rules.as_array().unwrap();
    let id = |note: &str| {
        rules.iter().find(|rule| rule["note"] == note).unwrap_or_else(|| panic!("{rules:?}"))["id"].clone()
    };
    let changed = json!({"applies_to": "charges", "note": "A product of its own.", "first_day": "2026-10-01",
        "reason": "Both are sold as one.",
        "conditions": [{"attribute": "tag:service", "operator": "one-of", "value": "search"}],
        "dimensions": [{"dimension": "product", "value": "Shop"}]});
    let path = format!("/api/v1/rules/{}", id("A product of its own."));
    let answer = world.app.api("PATCH", &path, &token, changed).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let remapped = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM publication WHERE kind = 'remap'");
    assert_eq!(remapped.fetch_one(&db).await.unwrap(), 0, "no cost moved");
    let shop = csv("Shop").await;
    assert_eq!(total(&shop), decimal("206.5"), "{shop}");
}
