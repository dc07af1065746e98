//! Unit economics and savings: from bills, metrics, deployments and plans to pages, CSV and the API.

use super::finance::{World, column, decimal, deployed, sum, texts, time, world};
use super::support::{TestApp, last_answer};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use chrono::{Datelike, Days, Months, NaiveDate};
use costwake::jobs::effects;
use costwake::rollup::metrics_import;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,CommitmentDiscountId,CommitmentDiscountStatus,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,\
ServiceName,SubAccountId,ResourceId,RegionId,SkuId,PricingQuantity,PricingUnit,Tags";
const LAST: &str = "2026-11-18";
const RELEASED: &str = "2026-11-02";

/// A day as it is written.
pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

// More on weekdays, and never the same twice.
fn requests(at: NaiveDate) -> i64 {
    let days = at.signed_duration_since(day("2026-01-01")).num_days();
    let weekday = if at.weekday().number_from_monday() <= 5 { 1300 } else { 1000 };
    weekday + (days * 7919).rem_euclid(101)
}

/// What the checkout costs in production on a day: 100.00 and 0.10 a request, 0.12 since the release, with some cents of
/// noise.
pub fn checkout_cents(at: NaiveDate) -> i64 {
    own_cents(at) + if at < day("2026-11-06") { 0 } else { 700 }
}

fn own_cents(at: NaiveDate) -> i64 {
    let days = at.signed_duration_since(day("2026-01-01")).num_days();
    let rate = if at > day(RELEASED) { 12 } else { 10 };
    10_000 + rate * requests(at) + (days * 104_729).rem_euclid(201) - 100
}

struct Charge {
    service: &'static str,
    environment: &'static str,
    category: &'static str,
    commitment: &'static str,
    resource: &'static str,
    cents: i64,
}

fn charges(at: NaiveDate) -> Vec<Charge> {
    let of = |service, environment, category, cents| Charge {
        service,
        environment,
        category,
        commitment: "",
        resource: "",
        cents,
    };
    let mut all = vec![
        of("checkout", "production", "Compute", own_cents(at)),
        of("checkout", "staging", "Compute", 1_000),
        of("search", "production", "Compute", 2_000),
        of("media", "test", "Storage", 200),
        Charge { commitment: "Used", ..of("mail", "production", "Compute", 850) },
        Charge { commitment: "Unused", ..of("mail", "production", "Compute", 150) },
    ];
    if at <= day("2026-10-20") {
        all.push(of("media", "test", "Compute", 500));
    }
    // A machine of the search's becomes one of the checkout's by its tags.
    all.push(Charge {
        resource: "vm-moved",
        ..of(if at < day("2026-11-06") { "search" } else { "checkout" }, "production", "Networking", 700)
    });
    all
}

async fn import(world: &World, month: &str) {
    let first = day(&format!("{month}-01"));
    let next = first + Months::new(1);
    let mut text = format!("{HEADER}\n");
    for at in first.iter_days().take_while(|at| *at < next && *at <= day(LAST)) {
        for Charge { service, environment, category, commitment, resource, cents } in charges(at) {
            let resource = if resource.is_empty() { service } else { resource };
            let cost = format!("{}.{:02}", cents / 100, cents % 100);
            let id = if commitment.is_empty() { "" } else { "sp-1" };
            text.push_str(&format!(
                "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{at}T00:00:00Z,{}T00:00:00Z,\
                 Usage,,Some use,Usage-Based,{id},{commitment},Cloud One,Cloud One,Cloud One,{category},Things,sub-1,\
                 x-{resource},eu-1,sku-1,1,Hours,\
                 \"{{\"\"service\"\":\"\"{service}\"\",\"\"environment\"\":\"\"{environment}\"\"}}\"\n",
                at + Days::new(1)
            ));
        }
    }
    world.import_text(&text, "2026-11-19T06:00:00Z").await;
}

async fn measure(world: &World) {
    let mut metrics = String::from("metric,service,day,value,environment\n");
    for at in day("2026-08-01").iter_days().take_while(|at| *at <= day(LAST)) {
        let days = at.signed_duration_since(day("2026-01-01")).num_days();
        let (noise, latency) = ((days * 7907).rem_euclid(5), if at > day(RELEASED) { 80 } else { 100 });
        metrics.push_str(&format!("requests,checkout,{at},{},production\n", requests(at)));
        metrics.push_str(&format!("latency,checkout,{at},{}.5,production\n", latency + noise - 2));
        metrics.push_str(&format!("utilization,search,{at},14,production\n"));
    }
    let now = time("2026-11-19T06:00:00Z");
    metrics_import::import(&world.app.state.pools, metrics.as_bytes(), "test", "", now).await.unwrap();
}

/// A version went live.
pub async fn deploy(db: &PgPool, service: &str, environment: &str, at: &str) -> i64 {
    deployed(db, (&format!("{service} {environment} {at}"), "v1"), service, environment, at).await
}

/// Bills of four months, with requests beside them.
pub async fn filled(db: &PgPool) -> World {
    let world = world(db).await;
    for month in ["2026-08", "2026-09", "2026-10", "2026-11"] {
        import(&world, month).await;
    }
    let kinds =
        "UPDATE environment SET kind = CASE slug WHEN 'production' THEN 'production' WHEN 'staging' THEN 'staging'
                 ELSE 'test' END";
    sqlx::query(kinds).execute(db).await.unwrap();
    measure(&world).await;
    world
}

/// What a unit cost before and after a release is exact, says its fixed and variable part, and what the change is for the
/// stated goal.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_is_judged_by_what_a_unit_costs(db: PgPool) {
    let world = filled(&db).await;
    let id = deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    let finance = world.finance().await;
    let read = world.app.token(TokenScope::Read, Role::Finance).await;
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let path = format!("/api/v1/deployments/{id}/unit-costs");
    let answer = world.app.api("GET", &path, &read, Value::Null).await.json();
    let one = &answer[0];
    assert_eq!((one["service"].as_str(), one["metric"].as_str()), (Some("checkout"), Some("requests")), "{answer}");
    let before: Vec<NaiveDate> = (1..=28).map(|back| day(RELEASED) - Days::new(back)).collect();
    let cents: i64 = before.iter().map(|at| checkout_cents(*at)).sum();
    let used: i64 = before.iter().map(|at| requests(*at)).sum();
    assert_eq!(decimal(one["before"]["cost"].as_str().unwrap()), BigDecimal::new(cents.into(), 2));
    assert_eq!(decimal(one["before"]["usage"].as_str().unwrap()), BigDecimal::from(used));
    let exact = (BigDecimal::new(cents.into(), 2) / BigDecimal::from(used)).with_prec(30);
    assert_eq!(decimal(one["before"]["cost_per_unit"].as_str().unwrap()), exact.normalized());
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let (fixed, variable) =
        (number(&one["before"]["fixed_per_day"]["value"]), number(&one["before"]["variable_per_unit"]["value"]));
    assert!((97.0..103.0).contains(&fixed) && (0.097..0.103).contains(&variable), "{one}");
    assert!((0.11..0.13).contains(&number(&one["after"]["variable_per_unit"]["value"])), "{one}");
    assert!(one["before"]["r_squared"].as_f64().unwrap() > 0.9, "{one}");
    let change = &one["change"];
    assert!(number(&change["low"]) > 0.0 && number(&change["low"]) < number(&change["value"]), "{one}");
    assert_eq!(one["verdict"], Value::Null);

    // Without a goal nobody says better or worse; with one, each release does.
    let page = finance.get(&format!("/deployments/{id}")).await;
    assert!(
        page.body.contains("What a unit costs") && page.body.contains("No goal is stated for requests."),
        "{}",
        page.body
    );
    let goal = |goal: Value| world.app.api("PUT", "/api/v1/services/checkout/goals/requests", &admin, goal);
    for (asked, verdict) in [
        (json!({"goal": "latency"}), "better"),
        (json!({"goal": "cost"}), "worse"),
        (json!({"goal": "weight", "cost_percent": 20}), "better"),
    ] {
        let done = goal(asked).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.body);
        let answer = world.app.api("GET", &path, &read, Value::Null).await.json();
        assert_eq!(answer[0]["verdict"], verdict, "{answer}");
    }
    let page = finance.get(&format!("/deployments/{id}")).await;
    let section = texts(&page.body, "section[aria-labelledby=h-unit]").join(" ");
    assert!(section.contains("Faster by 19") || section.contains("Faster by 20"), "{section}");
    assert!(
        section.contains("dearer by") && section.contains("better for its goal (20% cost and 80% latency)"),
        "{section}"
    );
    assert!(section.contains("fixed a day") && section.contains("usage explains"), "{section}");
    let csv = finance.get(&format!("/deployments/{id}/unit-costs.csv")).await;
    assert_eq!(column(&csv.body, "Verdict"), ["better", "better"], "{}", csv.body);
    let refused = goal(json!({"goal": "weight"})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("needs the weight of cost"), "{}", refused.body);
    // Neither a sum nor a share of capacity is how long a unit takes.
    for wrong in ["requests", "utilization", "unheard-of"] {
        let refused = goal(json!({"goal": "latency", "duration_metric": wrong})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
        assert!(refused.body.contains(&format!("{wrong} does not tell how long a unit takes")), "{}", refused.body);
        let fields = [("metric", "requests"), ("goal", "latency"), ("cost_percent", ""), ("duration_metric", wrong)];
        let refused = finance.post_form("/services/checkout/goals", &fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    }
    let search = finance.get("/services/search").await;
    assert!(!search.body.contains("<option>utilization</option>"), "the form offers no share of capacity");

    // The form of the service's page does the same, for those whose service it is.
    let page = finance.get("/services/checkout").await;
    assert!(page.body.contains("20% cost and 80% latency"), "{}", page.body);
    let stranger = world.app.browser(Role::Member, false, &[]).await;
    let fields = [("metric", "requests"), ("goal", "cost"), ("cost_percent", ""), ("duration_metric", "")];
    assert_eq!(stranger.post_form("/services/checkout/goals", &fields).await.status, StatusCode::FORBIDDEN);
    let stated = finance.post_form("/services/checkout/goals", &fields).await;
    assert_eq!((stated.status, stated.location()), (StatusCode::SEE_OTHER, "/services/checkout#goals"));
    let taken = finance.post_form("/services/checkout/goals/remove", &[("metric", "requests")]).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER);
    let audit: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_log ORDER BY 1").fetch_all(&db).await.unwrap();
    assert_eq!(audit.iter().filter(|action| *action == "service.goal_stated").count(), 5, "{audit:?}");
    assert_eq!(stranger.get(&format!("/deployments/{id}/unit-costs.csv")).await.status, StatusCode::FORBIDDEN);
}

/// Unit costs of a period by service, environment and product, on the page, in CSV and by the API.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn unit_costs_are_told_by_service_environment_and_product(db: PgPool) {
    let world = filled(&db).await;
    let product = "INSERT INTO service_detail (service_id, product, changed_by, changed_at)
                   SELECT service_id, 'Shop', 'test', now() FROM service WHERE slug IN ('checkout', 'search')";
    sqlx::query(product).execute(&db).await.unwrap();
    let finance = world.finance().await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for (by, group, extra) in [("service", "checkout", 1_000), ("product", "Shop", 3_700), ("env", "production", 3_700)]
    {
        let csv = finance.get(&format!("/unit-costs.csv?by={by}&metric=requests&period=2026-10")).await;
        let rows: Vec<(String, String, String)> = column(&csv.body, "Group")
            .into_iter()
            .zip(column(&csv.body, "Side"))
            .zip(column(&csv.body, "EffectiveCost"))
            .map(|((group, side), cost)| (group, side, cost))
            .collect();
        let october = day("2026-10-01").iter_days().take(31);
        let cents: i64 = october.map(|at| checkout_cents(at) + extra).sum();
        let own =
            rows.iter().find(|row| row.0 == group && row.1 == "now").unwrap_or_else(|| panic!("{by}: {}", csv.body));
        assert_eq!(decimal(&own.2), BigDecimal::new(cents.into(), 2), "{by}: {}", csv.body);
        let path = format!("/api/v1/unit-costs?by={by}&metric=requests&period=2026-10");
        let api = world.app.api("GET", &path, &token, Value::Null).await.json();
        let own = api["groups"].as_array().unwrap().iter().find(|one| one["group"] == group).unwrap();
        assert_eq!(decimal(own["after"]["cost"].as_str().unwrap()), BigDecimal::new(cents.into(), 2), "{api}");
        let page = finance.get(&format!("/unit-costs?by={by}&metric=requests&period=2026-10")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("fixed a day"), "{}", page.body);
    }
    let wrong = finance.get("/unit-costs?metric=latency").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let other = world.app.browser(Role::Member, false, &[]).await.get("/unit-costs.csv?metric=requests").await;
    assert_eq!(other.body.lines().count(), 1, "{}", other.body);
}

/// The same usage sent with and without an environment counts once, whichever came first; sent without one only, it counts
/// for each environment that is asked for.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn usage_with_and_without_an_environment_counts_once(db: PgPool) {
    let world = filled(&db).await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let used = async |asked: &str| {
        let path = format!("/api/v1/unit-costs?{asked}&period=2026-10");
        let api = world.app.api("GET", &path, &token, Value::Null).await.json();
        let groups = api["groups"].as_array().unwrap_or_else(|| panic!("{api}"));
        groups.iter().map(|one| format!("{} {}", one["group"], one["after"]["usage"])).collect::<Vec<_>>()
    };
    let october: Vec<NaiveDate> = day("2026-10-01").iter_days().take(31).collect();
    let total: i64 = october.iter().map(|at| requests(*at)).sum();
    let before = used("metric=requests").await;
    assert_eq!(before, [format!("\"checkout\" \"{total}\"")]);
    let mut metrics = String::from("metric,service,day,value,environment\n");
    for at in &october {
        metrics.push_str(&format!("requests,checkout,{at},{},\norders,checkout,{at},7,\n", requests(*at)));
        // Here the whole comes first; its environments follow in another file.
        metrics.push_str(&format!("calls,checkout,{at},9,\n"));
    }
    let apart = october.iter().map(|at| format!("calls,checkout,{at},4,production\ncalls,checkout,{at},5,staging\n"));
    let apart = format!("metric,service,day,value,environment\n{}", apart.collect::<String>());
    for text in [metrics, apart] {
        let pools = &world.app.state.pools;
        metrics_import::import(pools, text.as_bytes(), "test", "", time("2026-11-19T06:00:00Z")).await.unwrap();
    }
    // No cost is divided by what nobody said the meaning of.
    sqlx::query("UPDATE metric SET is_assumed = false").execute(&db).await.unwrap();
    for asked in ["metric=requests", "metric=requests&env=production"] {
        assert_eq!(used(asked).await, before, "{asked}");
    }
    assert_eq!(used("metric=requests&by=env").await, [format!("\"production\" \"{total}\"")]);
    assert_eq!(used("metric=calls").await, ["\"checkout\" \"279\""]);
    assert_eq!(used("metric=calls&env=production").await, ["\"checkout\" \"124\""]);
    for asked in ["metric=orders", "metric=orders&env=production"] {
        assert_eq!(used(asked).await, ["\"checkout\" \"217\""], "{asked}");
    }
    assert!(used("metric=orders&by=env").await.contains(&"\"production\" \"217\"".to_owned()));
    let page = world.finance().await.get("/metrics/requests").await;
    assert!(page.body.contains("31 days came without an environment too"), "{}", page.body);
}

async fn found(world: &World, token: &str) -> Vec<(String, String, String, BigDecimal)> {
    let api = world.app.api("GET", "/api/v1/savings", token, Value::Null).await.json();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let rows = api["savings"].as_array().unwrap_or_else(|| panic!("{api}")).iter();
    rows.map(|one| (text(one, "kind"), text(one, "service"), text(one, "state"), decimal(&text(one, "amount"))))
        .collect()
}

fn row(kind: &str, service: &str, state: &str, amount: &str) -> (String, String, String, BigDecimal) {
    (kind.into(), service.into(), state.into(), decimal(amount))
}

/// What is paid for and not used is found with its exact money, waits for releases, and can be dismissed and undone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn savings_are_exact_wait_for_releases_and_can_be_dismissed(db: PgPool) {
    let world = filled(&db).await;
    deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    deploy(&db, "checkout", "staging", "2026-08-10T09:00:00Z").await;
    let finance = world.finance().await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let expected = [
        row("low-utilization", "search", "open", "480"),
        row("left-alone", "checkout", "open", "300"),
        row("orphaned-storage", "media", "open", "60"),
        row("unused-commitment", "mail", "open", "45"),
    ];
    assert_eq!(found(&world, &token).await, expected);
    let page = finance.get("/savings").await;
    assert_eq!(texts(&page.body, "section[aria-labelledby=h-open] tr.total td.n"), ["$885"], "{}", page.body);
    assert!(page.body.contains("14.0% of the capacity is used, by utilization, 14 days."), "{}", page.body);
    assert!(page.body.contains("Since 20 Oct 2026 nothing but storage costs here"), "{}", page.body);
    let csv = finance.get("/savings.csv").await;
    assert_eq!(sum(&csv.body, "Saving"), decimal("885"), "{}", csv.body);
    let idle = texts(&page.body, "section[aria-labelledby=h-idle] tbody td.n");
    assert_eq!(idle, ["86.0%", "$600", "$516"], "{}", page.body);

    // A deployment that has not settled, a launch that is registered, a release window: each holds back, and says so.
    deploy(&db, "search", "production", "2026-11-10T09:00:00Z").await;
    let launch =
        [("kind", "launch"), ("title", "Winter sale"), ("first_day", "2026-12-01"), ("last_day", "2026-12-10")];
    let added = finance.post_form("/services/checkout/plans", &launch).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let states: Vec<String> = found(&world, &token).await.into_iter().map(|one| one.2).collect();
    assert_eq!(states, ["held-back", "held-back", "open", "open"]);
    let page = finance.get("/savings").await;
    assert_eq!(texts(&page.body, "section[aria-labelledby=h-open] tr.total td.n"), ["$105"], "{}", page.body);
    assert!(page.body.contains("Held back for the launch “Winter sale” of 1 Dec 2026 to 10 Dec 2026"), "{}", page.body);
    let waits = "Held back until bills are complete to 24 Nov 2026: the deployment of 10 Nov 2026 has not settled";
    assert!(page.body.contains(waits), "{}", page.body);
    let wrong = [("kind", "launch"), ("title", "x"), ("first_day", "2026-12-05"), ("last_day", "2026-12-01")];
    let refused = finance.post_form("/services/checkout/plans", &wrong).await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains("last day"), "{}", refused.body);
    assert!(finance.get("/services/checkout").await.body.contains("Winter sale"));
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let plans = world.app.api("GET", "/api/v1/plans?service=checkout", &token, Value::Null).await.json();
    let path = format!("/api/v1/services/checkout/plans/{}/delete", plans[0]["id"]);
    assert_eq!(world.app.api("POST", &path, &admin, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.app.api("POST", &path, &admin, Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(found(&world, &token).await[1], expected[1]);

    let key = column(&csv.body, "Key").remove(1);
    let without = finance.post_form("/savings/dismiss", &[("key", &key), ("reason", " ")]).await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST, "{}", without.body);
    for _ in 0..2 {
        let done = finance.post_form("/savings/dismiss", &[("key", &key), ("reason", "Needed for audits.")]).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/savings"));
    }
    assert_eq!(found(&world, &token).await[1].2, "dismissed");
    assert!(finance.get("/savings").await.body.contains("Needed for audits."));
    let stranger = world.app.browser(Role::Member, false, &[]).await;
    assert_eq!(stranger.get("/savings.csv").await.body.lines().count(), 1);
    assert_eq!(stranger.post_form("/savings/undo", &[("key", &key)]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(finance.post_form("/savings/undo", &[("key", &key)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(found(&world, &token).await[1], expected[1]);
    let audit: Vec<String> = sqlx::query_scalar("SELECT action FROM audit_log WHERE action LIKE 'saving.%' ORDER BY 1")
        .fetch_all(&db)
        .await
        .unwrap();
    assert_eq!(audit, ["saving.dismissal_undone", "saving.dismissed"]);
}

/// What is kept between requests follows whose a service is, what teams and environments are called and of what kind they
/// are, none of which needs a publication.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn savings_follow_owners_names_and_kinds_at_once(db: PgPool) {
    let world = filled(&db).await;
    deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    deploy(&db, "checkout", "staging", "2026-08-10T09:00:00Z").await;
    let teams: Vec<i64> =
        sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('find', 'Find'), ('pay', 'Pay') RETURNING team_id")
            .fetch_all(&db)
            .await
            .unwrap();
    let give = async |team_id: i64| {
        let sql = "UPDATE service SET team_id = $1 WHERE slug = 'search'";
        sqlx::query(sql).bind(team_id).execute(&db).await.unwrap();
    };
    give(teams[0]).await;
    let find = world.app.browser(Role::Member, false, &teams[..1]).await;
    let pay = world.app.browser(Role::Member, false, &teams[1..]).await;
    let services = async |app: &TestApp| column(&app.get("/savings.csv").await.body, "Service");
    assert_eq!((services(&find).await, services(&pay).await), (vec!["search".to_owned()], vec![]));
    give(teams[1]).await;
    assert_eq!((services(&find).await, services(&pay).await), (vec![], vec!["search".to_owned()]));
    sqlx::query("UPDATE team SET name = 'Payments' WHERE slug = 'pay'").execute(&db).await.unwrap();
    assert_eq!(column(&pay.get("/savings.csv").await.body, "Team"), ["Payments"]);

    let finance = world.finance().await;
    let kinds = async || column(&finance.get("/savings.csv").await.body, "Kind");
    assert!(kinds().await.contains(&"left-alone".to_owned()), "{:?}", kinds().await);
    let changed = "UPDATE environment SET kind = 'production', name = 'Rehearsal' WHERE slug = 'staging'";
    sqlx::query(changed).execute(&db).await.unwrap();
    assert!(!kinds().await.contains(&"left-alone".to_owned()), "production is never left alone");
    sqlx::query("UPDATE environment SET kind = 'staging' WHERE slug = 'staging'").execute(&db).await.unwrap();
    assert!(finance.get("/savings").await.body.contains("Rehearsal"));
}

async fn measures(db: &PgPool) -> Vec<(String, String, String)> {
    sqlx::query_as("SELECT slug, measure, metric FROM service_measure JOIN service USING (service_id) ORDER BY 1, 2")
        .fetch_all(db)
        .await
        .unwrap()
}

async fn unit_of_effect(db: &PgPool, deployment_id: i64) -> Option<String> {
    let per_unit = last_answer(db, deployment_id).await.per_unit?;
    per_unit["metric"].as_str().map(str::to_owned)
}

/// One metric tells the volume of a service, by what metrics mean: in causes, savings and effects alike.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_service_is_measured_by_one_metric_of_its_meaning(db: PgPool) {
    let world = filled(&db).await;
    let own = "INSERT INTO metric (metric, meaning, unit, over_hours, over_services, changed_by, changed_at)
               VALUES ('calls', 'requests', 'calls', 'sum', 'sum', 'test', now()),
                      ('hits', 'requests', '', 'sum', 'sum', 'test', now()),
                      ('machines', 'replicas', '', 'mean', 'sum', 'test', now())";
    sqlx::query(own).execute(&db).await.unwrap();
    let mut metrics = String::from("metric,service,day,value,environment\n");
    for at in day("2026-09-01").iter_days().take_while(|at| *at <= day(LAST)) {
        let orders = [80, 100, 0][usize::try_from(at.month() - 9).unwrap()];
        metrics.push_str(&format!("orders,search,{at},{orders},production\n"));
        metrics.push_str(&format!("orders,checkout,{at},{},production\n", 500 + at.day()));
        metrics.push_str(&format!("hits,mail,{at},7,production\nmachines,mail,{at},2,production\n"));
        if at > day("2026-10-01") {
            metrics.push_str(&format!("calls,mail,{at},3,production\n"));
        }
        metrics.push_str(&format!("training_jobs,media,{at},2,test\npipeline_runs,media,{at},4,test\n"));
    }
    let pools = &world.app.state.pools;
    let now = time("2026-11-19T07:00:00Z");
    metrics_import::import(pools, metrics.as_bytes(), "test", "", now).await.unwrap();
    let of = |service: &str, measure: &str, metric: &str| (service.to_owned(), measure.to_owned(), metric.to_owned());
    let mut expected = [
        of("checkout", "volume", "requests"),
        of("mail", "replicas", "machines"),
        of("mail", "volume", "hits"),
        of("media", "volume", "pipeline_runs"),
        of("search", "volume", "orders"),
    ];
    assert_eq!(measures(&db).await, expected, "meaning first, then the most days");

    // What CI tells says how often a service is built, unless somebody counts it in that.
    let counted = "UPDATE metric_point SET loaded_by = 'pipeline events' WHERE metric = 'pipeline_runs'";
    sqlx::query(counted).execute(&db).await.unwrap();
    expected[3].2 = "training_jobs".into();
    assert_eq!(measures(&db).await, expected);
    let chosen = "INSERT INTO service_unit_metric SELECT service_id, 'pipeline_runs' FROM service WHERE slug = 'media'";
    sqlx::query(chosen).execute(&db).await.unwrap();
    expected[3].2 = "pipeline_runs".into();
    assert_eq!(measures(&db).await, expected);

    let finance = world.finance().await;
    let page = finance.get("/savings").await.body;
    assert!(page.contains("0.0 orders a day in the 14 days to") && page.contains("a day were usual before."), "{page}");
    let why = finance.get("/why.csv?period=2026-10-01..2026-10-30&vs=2026-09&service=search").await.body;
    assert!(why.contains("100 orders a day against 80") && why.contains("used for the same volume"), "{why}");

    let id = deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    let settled = time("2026-11-20T12:00:00Z");
    effects::settle(pools, settled).await.unwrap();
    assert_eq!(unit_of_effect(&db, id).await.as_deref(), Some("requests"));
    sqlx::query("UPDATE metric SET meaning = 'other' WHERE metric = 'requests'").execute(&db).await.unwrap();
    assert!(effects::is_behind(pools).await.unwrap(), "another metric tells the volume");
    effects::settle(pools, settled).await.unwrap();
    assert_eq!(unit_of_effect(&db, id).await.as_deref(), Some("orders"));
    let page = finance.get(&format!("/deployments/{id}")).await.body;
    assert!(page.contains("Effect per 1,000 orders"), "{page}");
    assert!(page.contains("with all that moved, not the release alone"), "{page}");
}

/// The page of a deployment says what the difference is made of, to the last digit, and names a launch beside the estimate.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_says_its_causes_and_the_launches_beside_it(db: PgPool) {
    let world = filled(&db).await;
    let id = deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    let finance = world.finance().await;
    let now = time("2026-11-20T12:00:00Z");
    effects::settle(&world.app.state.pools, now).await.unwrap();
    let page = finance.get(&format!("/deployments/{id}")).await;
    let section = "section[aria-labelledby=h-causes]";
    let cells = texts(&page.body, &format!("{section} table.bridge tbody tr td.n:not(.hide-narrow)"));
    let shown: Vec<BigDecimal> =
        cells.iter().map(|cell| decimal(&cell.replace(['$', ',', '+', '±'], "").replace('\u{2212}', "-"))).collect();
    let (first, rest) = shown.split_first().unwrap_or_else(|| panic!("{}", page.body));
    let (last, steps) = rest.split_last().unwrap();
    assert_eq!(&(first + steps.iter().sum::<BigDecimal>()), last, "{cells:?}");
    let causes = texts(&page.body, &format!("{section} tbody th"));
    assert!(causes.iter().any(|cause| cause.starts_with("Not explained")), "{causes:?}");
    assert!(causes.iter().all(|cause| !cause.contains("days more")), "as many days before as after: {causes:?}");
    let flags = |body: &str| texts(body, "section[aria-labelledby=h-flags] tbody th").join(" ");
    assert!(!flags(&page.body).contains("Launch"), "{}", flags(&page.body));
    assert!(
        flags(&page.body).contains("Tags of resources changed, and with them who pays, 6 Nov 2026"),
        "{}",
        flags(&page.body)
    );
    assert!(!effects::is_behind(&world.app.state.pools).await.unwrap(), "nothing changed");

    let launch = [("kind", "launch"), ("title", "Sale"), ("first_day", "2026-11-05"), ("last_day", "2026-11-08")];
    assert_eq!(finance.post_form("/services/checkout/plans", &launch).await.status, StatusCode::SEE_OTHER);
    effects::settle(&world.app.state.pools, now).await.unwrap();
    let page = finance.get(&format!("/deployments/{id}")).await;
    assert!(flags(&page.body).contains("Launch registered for these days, 5 Nov 2026"), "{}", flags(&page.body));
    // What it moved is estimated beside the release: nothing, by bills that know nothing of it.
    let rows = texts(&page.body, "section[aria-labelledby=h-flags] tbody tr");
    let launch = rows.iter().find(|row| row.starts_with("Launch")).unwrap();
    assert!(launch.contains('$') && !launch.contains("not known"), "{launch}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", &format!("/api/v1/deployments/{id}/impact"), &token, Value::Null).await.json();
    let flag = api["answers"][0]["flags"].as_array().unwrap().iter().find(|flag| flag["kind"] == "launch").unwrap();
    let amount = flag["amount_per_day"].as_str().unwrap();
    let csv = finance.get("/deployments.csv").await.body;
    let flags = column(&csv, "Flags").remove(0);
    assert!(flags.contains(&format!("launch of 2026-11-05: {amount}")), "{flags}");
}
