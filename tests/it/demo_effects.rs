//! The verdicts of the demo organisation against what is true of it: bills, traffic and deployments as they are taken in,
//! with bounds as tight as what they show.

#![expect(clippy::float_arithmetic, reason = "estimates against what is true")]

use super::finance::column;
use super::{demo_anomalies, support};
use bigdecimal::ToPrimitive;
use chrono::{DateTime, NaiveDate, Utc};
use costwake::jobs::effects;
use costwake::rollup::{ImportRequest, import_file, metrics_import};
use sqlx::PgPool;
use std::collections::BTreeMap;

/// Service, environment and day of a release, and the change of EffectiveCost a day.
type Truth = BTreeMap<(String, String, NaiveDate), f64>;

async fn take_in(db: &PgPool, now: DateTime<Utc>) -> Truth {
    let folder = tempfile::tempdir().unwrap();
    let files = costwake::demo::generate(folder.path(), now.date_naive(), 1).unwrap();
    let pools = support::pools(db);
    for bill in &files.bills {
        let request = ImportRequest {
            path: bill.path.clone(),
            file_name: "bill".into(),
            source: Some(bill.source.clone()),
            as_of: Some(bill.as_of),
            received_by: "test".into(),
            now,
        };
        let receipt = import_file(&pools, request, |_, _, _| {}).await.unwrap();
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    }
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&files.truth).unwrap()).unwrap();
    let mut changes = Truth::new();
    for release in truth["deployments"].as_array().unwrap() {
        let text = |key: &str| release[key].as_str().unwrap().to_owned();
        if release["succeeded"] != true {
            continue;
        }
        let at: DateTime<Utc> = text("finished_at").parse().unwrap();
        let change: bigdecimal::BigDecimal =
            release["change_per_day"]["EffectiveCost"].as_str().unwrap().parse().unwrap();
        *changes.entry((text("service"), text("environment"), at.date_naive())).or_default() +=
            change.to_f64().unwrap();
        sqlx::query(
            "WITH added AS (
                 INSERT INTO deployment (event_source_id, external_id, environment_id, status, status_at, created_at,
                     finished_at, version)
                 SELECT 1, $1, environment_id, 'succeeded', $2, $2, $2, $3 FROM environment WHERE slug = $5
                 RETURNING deployment_id)
             INSERT INTO deployment_service (deployment_id, service_id)
             SELECT deployment_id, service_id FROM added, service WHERE slug = $4",
        )
        .bind(text("external_id"))
        .bind(at)
        .bind(text("version"))
        .bind(text("service"))
        .bind(text("environment"))
        .execute(db)
        .await
        .unwrap();
    }
    let mut metrics = String::from("metric,service,day,value,environment\n");
    for line in std::fs::read_to_string(&files.traffic).unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        metrics.push_str(&format!("requests,{},{},{},production\n", cells[1], cells[0], cells[2]));
    }
    for line in std::fs::read_to_string(&files.utilization).unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        metrics.push_str(&format!("utilization,{},{},{},{}\n", cells[1], cells[0], cells[3], cells[2]));
    }
    metrics_import::import(&pools, metrics.as_bytes(), "test", "", now).await.unwrap();
    changes
}

/// Anomalies, forecasts and verdicts hold what is true, and verdicts are among causes that add up to every change. One
/// test, since taking the demo in takes longer than all that is asked of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_found_in_the_demo_holds_what_is_true_and_causes_add_up(db: PgPool) {
    let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
    let truth = take_in(&db, now).await;
    demo_anomalies::anomalies_hold_what_is_true(&db, now).await;
    demo_anomalies::forecasts_hold_what_is_true(&db, now).await;
    let done = effects::settle(&support::pools(&db), now).await.unwrap();
    assert!(done.release_count > 100, "{done:?}");
    let production = against(&db, &truth, "production").await;
    // 286 settled, 263 (92.0 %) hold the truth, 32 claimed and none of them false, 2 of 5 found: the same bytes every time,
    // so that a percent is room for rounding alone.
    assert!(production.settled >= 283 && production.held * 100 >= production.settled * 91, "{production:?}");
    assert!(production.claimed >= 31 && production.false_claims * 100 <= production.claimed, "{production:?}");
    assert!(production.found * 100 >= production.large * 39, "{production:?}");
    let staging = against(&db, &truth, "staging").await;
    // 59 settled, 57 (96.6 %) hold the truth; no change of 15 % is among them, and none is claimed.
    assert!(staging.settled >= 58 && staging.held * 100 >= staging.settled * 95, "{staging:?}");
    assert!(staging.false_claims == 0, "{staging:?}");
    causes_add_up_for_every_scope(&db).await;
}

/// Settled verdicts, and what is true of them.
#[derive(Debug, Default)]
struct Against {
    settled: usize,
    /// The interval holds the truth.
    held: usize,
    claimed: usize,
    false_claims: usize,
    /// Effects of 15 % and more, and those of them that are claimed.
    large: usize,
    found: usize,
}

// Releases within a day of each other share an answer, which is about what all of them did.
async fn against(db: &PgPool, truth: &Truth, environment: &str) -> Against {
    type Verdict = (String, Vec<NaiveDate>, String, f64, f64, f64, f64);
    let rows: Vec<Verdict> = sqlx::query_as(
        "SELECT DISTINCT s.slug, ARRAY(SELECT jsonb_array_elements_text(
                    coalesce(e.joint -> 'days', jsonb_build_array(e.release_date)))::date), e.finding, e.per_day::float8,
                e.per_day_low::float8, e.per_day_high::float8, e.before_per_day::float8
         FROM current_deployment_effect e JOIN service s USING (service_id)
         JOIN environment v ON v.environment_id = e.environment_id AND v.slug = $1
         WHERE e.phase = 'settled' AND e.per_day IS NOT NULL",
    )
    .bind(environment)
    .fetch_all(db)
    .await
    .unwrap();
    let mut figures = Against { settled: rows.len(), ..Against::default() };
    for (service, days, finding, _, low, high, before) in &rows {
        let change: f64 = days.iter().map(|day| truth[&(service.clone(), environment.to_owned(), *day)]).sum();
        figures.held += usize::from(*low <= change && change <= *high);
        let sign = match finding.as_str() {
            "increase" => 1.0,
            "decrease" => -1.0,
            _ => 0.0,
        };
        figures.claimed += usize::from(sign != 0.0);
        figures.false_claims += usize::from(sign * change < 0.0 || (sign != 0.0 && change == 0.0));
        figures.large += usize::from(change.abs() >= 0.15 * before);
        figures.found += usize::from(change.abs() >= 0.15 * before && sign * change > 0.0);
    }
    println!("{environment}: {figures:?}");
    figures
}

// The causes of the demo's changes add up to them to the last digit: all of it, each team and service, by charge day and
// by billing period, with verdicts of releases among the causes.
async fn causes_add_up_for_every_scope(db: &PgPool) {
    let mut app = support::app(db.clone()).await;
    app.state = app.state.with(|parts| parts.clock = || "2026-11-23T06:00:00Z".parse().unwrap());
    app.router = costwake::web::router(app.state.clone());
    let finance = app.browser(costwake::store::Role::Finance, false, &[]).await;
    let by_currency = |text: &str, amount: &str, skip_service: Option<&str>| {
        let (currencies, amounts) = (column(text, "BillingCurrency"), column(text, amount));
        let names = skip_service.map(|_| column(text, "Service"));
        let mut sums: BTreeMap<String, bigdecimal::BigDecimal> = BTreeMap::new();
        for (index, (currency, amount)) in currencies.into_iter().zip(amounts).enumerate() {
            if names.as_ref().zip(skip_service).is_none_or(|(names, only)| names[index] == only) {
                *sums.entry(currency).or_default() += amount.parse::<bigdecimal::BigDecimal>().unwrap();
            }
        }
        sums.retain(|_, sum| !bigdecimal::Zero::is_zero(sum));
        sums
    };
    let mut releases = 0;
    for period in ["30d", "2026-10"] {
        let services = finance.get(&format!("/services.csv?period={period}")).await.body;
        let all = finance.get(&format!("/why.csv?period={period}")).await.body;
        assert_eq!(by_currency(&all, "Amount", None), by_currency(&services, "Change", None), "{period}");
        let names: Vec<(String, String)> =
            sqlx::query_as("SELECT slug, name FROM service WHERE share_of_team_id IS NULL ORDER BY slug LIMIT 12")
                .fetch_all(db)
                .await
                .unwrap();
        for (slug, name) in names {
            let own = finance.get(&format!("/why.csv?period={period}&service={slug}")).await.body;
            let change = by_currency(&services, "Change", Some(&name));
            assert_eq!(by_currency(&own, "Amount", None), change, "{period} {slug}: {own}");
            releases += column(&own, "Cause").iter().filter(|cause| cause.starts_with("releases-")).count();
        }
    }
    assert!(releases > 0, "no verdict is a cause of any change");
    for view in ["billing", "charge"] {
        let statement = finance.get(&format!("/finance/statements/2026-10.csv?view={view}&by=service")).await.body;
        let causes = finance.get(&format!("/finance/statements/2026-10/causes.csv?view={view}")).await.body;
        assert_eq!(by_currency(&causes, "Amount", None), by_currency(&statement, "Change", None), "{view}");
    }
    low_utilization_is_found(&finance).await;
}

// Of what the demo has too much of, each is found where it is planted and nowhere else in production.
async fn low_utilization_is_found(finance: &support::TestApp) {
    let csv = finance.get("/savings.csv").await.body;
    let (kinds, services) = (column(&csv, "Kind"), column(&csv, "Service"));
    let (environments, states) = (column(&csv, "Environment"), column(&csv, "State"));
    let low = (0..kinds.len()).filter(|row| kinds[*row] == "low-utilization");
    let mut found: Vec<&str> =
        low.clone().filter(|row| environments[*row] == "production").map(|row| services[row].as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["ci-runners", "customer-360", "identity", "shipping-labels"], "{csv}");
    let open = low.clone().filter(|row| states[*row] == "open").count();
    assert!(open >= 3 && low.clone().count() >= 8, "{csv}");
    let page = finance.get("/savings").await.body;
    assert!(page.contains("of the capacity is used, by utilization, 14 days."), "the evidence");
    let recipes = super::finance::texts(&page, "section[aria-labelledby=h-open] details");
    assert!(!recipes.is_empty(), "what to do about it: {page}");
}
