//! What was before the first bill is not known: it is no zero that cost rose from, and no day that an average is over.

use super::{Line, World, bill, column, texts, world};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;
use std::ops::RangeInclusive;

const WHY: &str = "no bills before 1 October 2026, so nothing to compare with";

async fn deliver(
    world: &World,
    source: &str,
    service: &'static str,
    cost: &'static str,
    (month, days): (&'static str, RangeInclusive<u32>),
) {
    let now = format!("2026-11-{:02}T06:00:00Z", if month == "2026-10" { 1 } else { days.end() + 1 });
    let line = |day: u32| Line {
        cost,
        billed: month,
        day: String::leak(format!("{month}-{day:02}")),
        service,
        ..Line::default()
    };
    world.import_as(source, &bill(&days.map(line).collect::<Vec<_>>()), &now).await;
}

async fn deployed(world: &World, day: &str) -> i64 {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO deployment (event_source_id, external_id, repo, environment_raw, status, status_at, created_at,
             finished_at, version, sha, actor)
         SELECT 1, $1::text, 'org/checkout', 'prod', 'succeeded', t, t, t, 'v1', 'abcdef1', 'ci'
         FROM (SELECT ($1::text || 'T10:00Z')::timestamptz AS t) x RETURNING deployment_id",
    )
    .bind(day)
    .fetch_one(&world.db)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO deployment_service (deployment_id, service_id)
         SELECT $1, service_id FROM service WHERE slug = 'checkout'",
    )
    .bind(id)
    .execute(&world.db)
    .await
    .unwrap();
    id
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_first_bill_is_no_rise_on_any_page(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", "checkout", "1000", ("2026-10", 1..=31)).await;
    let finance = world.finance().await;
    for path in ["/", "/services", "/services/checkout", "/environments", "/teams", "/why"] {
        let page = finance.get(path).await.body;
        let lede = texts(&page, ".lede").join(" ");
        assert!(lede.contains(WHY), "{path}: {lede}");
        for wrong in ["2,900", "29,000", "all of it new", "grew most", "New in these days"] {
            assert!(!page.contains(wrong), "{path} says {wrong}: {page}");
        }
    }
    let overview = finance.get("/").await.body;
    let lede = texts(&overview, ".lede").join(" ");
    assert!(lede.starts_with(&format!("Spend was $30,000 from 2 to 31 Oct 2026: {WHY}.")), "{lede}");
    assert!(overview.contains("Bills begin on 1 Oct 2026"), "{overview}");
    let service = finance.get("/services/checkout").await.body;
    let averages: Vec<String> =
        texts(&service, ".figures div").into_iter().filter(|one| one.contains("A day")).collect();
    assert_eq!(averages, ["A day, on average $1,000"]);
    for path in ["/services.csv", "/environments.csv", "/teams.csv"] {
        let csv = finance.get(path).await.body;
        for name in ["EffectiveCostBefore", "BeforeFirstDay", "Change"] {
            assert!(column(&csv, name).iter().all(String::is_empty), "{path}: {csv}");
        }
        assert!(column(&csv, "EffectiveCost").iter().any(|cost| cost == "30000"), "{path}: {csv}");
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/why", &token, Value::Null).await.json();
    assert_eq!((&api["first_day"], &api["compared_first_day"]), (&"2026-10-02".into(), &Value::Null), "{api}");
    assert_eq!(api["changes"].as_array().map(Vec::len), Some(0), "{api}");
    assert!(api["notes"][0].as_str().is_some_and(|note| note.contains(WHY)), "{api}");
    // A statement of the first month has no month before it either.
    assert_eq!(finance.get("/finance/statements/2026-10/causes.csv").await.body.lines().count(), 1);
    let csv = finance.get("/finance/statements/2026-10.csv").await.body;
    assert!(!column(&csv, "Change").is_empty() && column(&csv, "Change").iter().all(String::is_empty), "{csv}");
    let statement = finance.get("/finance/statements/2026-10").await.body;
    assert!(!statement.contains("Why spend changed"), "{statement}");
    let api = world.app.api("GET", "/api/v1/months/2026-10/why", &token, Value::Null).await.json();
    assert_eq!(api["changes"].as_array().map(Vec::len), Some(0), "{api}");
    assert!(api["notes"][0].as_str().is_some_and(|note| note.contains("no bills for September 2026")), "{api}");
    // Days that bills tell of are compared as ever.
    let later = finance.get("/services/checkout?period=2026-10-16..2026-10-31&vs=prev").await.body;
    assert!(later.contains(WHY), "30 September is not known: {later}");
    let later = finance.get("/services/checkout?period=2026-10-17..2026-10-31").await.body;
    assert!(texts(&later, ".lede").join(" ").starts_with("Spend did not change: $15,000"), "{later}");
}

/// Half a month is nothing that a whole one rose from: a statement says so, and tells no change.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_in_which_bills_began_is_not_compared_with(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", "checkout", "100", ("2026-10", 14..=31)).await;
    deliver(&world, "cloud-one", "checkout", "100", ("2026-11", 1..=19)).await;
    let finance = world.finance().await;
    let why = "no bills before 14 October 2026, so nothing to compare with";
    for view in ["billing", "charge"] {
        let page = finance.get(&format!("/finance/statements/2026-11?view={view}")).await.body;
        let lede = texts(&page, ".lede").join(" ");
        assert!(lede.contains(&format!("Net cost so far was $1,900.00; {why}.")), "{lede}");
        assert!(page.contains(&format!("There are {why}.")) && page.contains("no earlier figure"), "{page}");
        assert!(texts(&page, "table.bridge").is_empty() && !page.contains("Why spend changed"), "{page}");
        let rows = texts(&page, "[aria-label^='Breakdown table'] tbody tr");
        assert!(!rows.is_empty() && rows.iter().all(|row| row.matches("not known").count() == 2), "{rows:?}");
        let csv = finance.get(&format!("/finance/statements/2026-11.csv?view={view}")).await.body;
        for name in ["EffectiveCost 2026-10", "Change"] {
            assert!(column(&csv, name).iter().all(String::is_empty), "{name}: {csv}");
        }
        assert_eq!(column(&csv, "EffectiveCost 2026-11"), ["1900"]);
        let causes = finance.get(&format!("/finance/statements/2026-11/causes.csv?view={view}")).await.body;
        assert_eq!(causes.lines().count(), 1, "{causes}");
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/months/2026-11/why", &token, Value::Null).await.json();
    assert!(api["notes"][0].as_str().is_some_and(|note| note.contains(why)), "{api}");
    // Once the whole month is there, it is compared with.
    deliver(&world, "cloud-one", "checkout", "100", ("2026-10", 1..=31)).await;
    let lede = texts(&finance.get("/finance/statements/2026-11").await.body, ".lede").join(" ");
    assert!(lede.contains("the same as the first 19 days of October 2026."), "{lede}");
}

/// Of a month that is not over, as many days of the month before are compared: what lacks only days does not fall.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_running_month_is_compared_like_for_like(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", "checkout", "100", ("2026-10", 1..=31)).await;
    deliver(&world, "cloud-two", "search", "10", ("2026-10", 1..=31)).await;
    deliver(&world, "cloud-one", "checkout", "101", ("2026-11", 1..=19)).await;
    deliver(&world, "cloud-two", "search", "10", ("2026-11", 1..=17)).await;
    let finance = world.finance().await;
    for view in ["billing", "charge"] {
        let page = finance.get(&format!("/finance/statements/2026-11?view={view}&by=service")).await.body;
        let lede = texts(&page, ".lede").join(" ");
        // Both sources hold 17 days; two more of the one are in the cost so far and in no comparison.
        let said = "Net cost so far was $2,089.00. Its first 17 days of 30 cost $1,887.00, which is $17.00 (0.9%) more than \
                    the first 17 days of October 2026.";
        assert!(lede.starts_with(said), "{view}: {lede}");
        assert!(lede.contains("The largest rise: checkout (+$17.00).") && !lede.contains("fall"), "{view}: {lede}");
        let figures = texts(&page, ".figures div");
        assert!(figures[0].contains("in the first 17 days on those of October 2026"), "{view}: {figures:?}");
        let bridge = texts(&page, "[aria-label^='Bridge table'] tbody tr");
        assert!(bridge[0].starts_with("October 2026, first 17 days $1,870.00"), "{view}: {bridge:?}");
        assert!(bridge.iter().all(|row| !row.contains("search") && !row.contains('\u{2212}')), "{view}: {bridge:?}");
        assert!(page.contains("a fall may be no more than that"), "{view}: {page}");
    }
    // A whole month is compared with a whole one.
    let page = finance.get("/finance/statements/2026-10").await.body;
    assert!(!page.contains("first 17 days"), "{page}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_is_compared_with_days_that_bills_tell_of(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", "checkout", "1000", ("2026-10", 1..=31)).await;
    let (early, first) = (deployed(&world, "2026-10-10").await, deployed(&world, "2026-10-01").await);
    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{early}")).await.body;
    let lede = texts(&page, ".lede").join(" ");
    assert_eq!(
        lede,
        "In the 21 complete days after, checkout cost $1,000 a day, the same, compared with the 9 days before."
    );
    assert!(page.contains("9 days before against 21 after"), "{page}");
    assert!(!page.contains("$321"), "{page}");
    let page = finance.get(&format!("/deployments/{first}")).await.body;
    assert!(page.contains("No bill tells of the days before 1 October 2026."), "{page}");
    // The week before the first is not known in the list of the service either.
    let list = finance.get("/services/checkout?period=2026-10").await.body;
    assert!(list.contains("no bills before it, so nothing to compare with"), "{list}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_that_begins_later_is_no_rise_of_its_services(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", "checkout", "1000", ("2026-10", 1..=31)).await;
    deliver(&world, "cloud-one", "checkout", "1000", ("2026-11", 1..=19)).await;
    deliver(&world, "saas-one", "search", "10", ("2026-11", 3..=19)).await;
    let finance = world.finance().await;
    let overview = finance.get("/?period=2026-11-10..2026-11-19").await.body;
    let lede = texts(&overview, ".lede").join(" ");
    assert!(lede.contains("Part of the change is that bills of saas-one begin on 1 Nov 2026."), "{lede}");
    assert!(!lede.contains("search grew most"), "{lede}");
    let movers = texts(&overview, "[aria-label='Movers table'] tbody tr");
    let is_told = |row: &String| row.starts_with("search") && row.ends_with("Bills begin on 1 Nov 2026");
    assert!(movers.iter().any(is_told), "{movers:?}");
    // One that was begun in the middle of a billing period tells nothing of the days before.
    deliver(&world, "edge-one", "edge", "5", ("2026-11", 14..=19)).await;
    let lede = texts(&finance.get("/?period=2026-11-10..2026-11-19").await.body, ".lede").join(" ");
    let both = "bills of edge-one begin on 14 Nov 2026 and those of saas-one begin on 1 Nov 2026.";
    assert!(lede.contains(both), "{lede}");
}
