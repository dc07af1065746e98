//! Months of which nothing is billed: they say so, and are no saving of a hundred percent.

use super::{Line, World, bill, texts, world};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

async fn api(world: &World, path: &str) -> Value {
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    world.app.api("GET", path, &token, Value::Null).await.json()
}

// Two sources billed August, one of them goes on in November.
async fn with_a_gap(db: &PgPool) -> World {
    let world = world(db).await;
    let august = Line { cost: "80", billed: "2026-08", day: "2026-08-05", ..Line::default() };
    world.import_as("cloud-one", &bill(&[august]), "2026-09-02T06:00:00Z").await;
    world.import_as("saas-one", &bill(&[Line { cost: "8", ..august }]), "2026-09-02T06:00:00Z").await;
    let november = ["2026-11-02", "2026-11-18"].map(|day| Line { cost: "9", billed: "2026-11", day, ..august });
    world.import_as("cloud-one", &bill(&november), "2026-11-19T06:00:00Z").await;
    world
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_that_no_source_billed_is_not_called_whole(db: PgPool) {
    let world = with_a_gap(&db).await;
    let finance = world.finance().await;
    let said = "No source has billed this month. The last bills before it are those of cloud-one for August 2026, saas-one \
                for August 2026.";
    for month in ["2026-09", "2026-10"] {
        let page = finance.get(&format!("/finance/statements/{month}")).await.body;
        assert!(page.contains(said) && page.contains("<span>No bill</span>"), "{month}: {page}");
        assert!(!page.contains("Every source has billed"), "{month}: {page}");
        let body = api(&world, &format!("/api/v1/months/{month}")).await;
        assert_eq!((body["state"].as_str(), body["sentence"].as_str()), (Some("bills-missing"), Some(said)));
        let ask = finance.get(&format!("/finance/statements/{month}/close")).await.body;
        assert!(ask.contains(said), "{month}: {ask}");
    }
    let listed = api(&world, "/api/v1/months").await;
    let states: Vec<(&str, &str)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|month| (month["billing_month"].as_str().unwrap(), month["state"].as_str().unwrap()))
        .collect();
    let expected =
        [("2026-11", "open"), ("2026-10", "bills-missing"), ("2026-09", "bills-missing"), ("2026-08", "bills-in")];
    assert_eq!(states, expected);
    // Before the first bill there is nobody to name.
    let page = finance.get("/finance/statements/2026-06").await.body;
    let said = "No source has billed this month. What is not known is never written as zero.";
    assert!(texts(&page, ".state p").iter().any(|text| text == said), "{page}");
}
