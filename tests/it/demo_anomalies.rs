//! Anomalies and forecasts of the demo organisation against what is true of it. `demo_effects` takes it in, once for all.

#![expect(clippy::float_arithmetic, reason = "estimates against what is true")]

use super::support;
use chrono::{DateTime, Days, NaiveDate, Utc};
use costwake::jobs::{anomalies, forecasts};
use sqlx::PgPool;

/// Service and first day of what is planted and still news; what was over weeks before the first look is not asked for.
fn planted(now: DateTime<Utc>) -> Vec<(String, NaiveDate)> {
    let folder = tempfile::tempdir().unwrap();
    let files = costwake::demo::generate(folder.path(), now.date_naive(), 1).unwrap();
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&files.truth).unwrap()).unwrap();
    let all = truth["anomalies"].as_array().unwrap();
    all.iter()
        .map(|one| (one["service"].as_str().unwrap().to_owned(), one["first_day"].as_str().unwrap().parse().unwrap()))
        .filter(|(_, day): &(String, NaiveDate)| *day >= now.date_naive() - Days::new(30))
        .collect()
}

/// Looks at the demo organisation that `db` has taken in.
pub(super) async fn anomalies_hold_what_is_true(db: &PgPool, now: DateTime<Utc>) {
    let started = std::time::Instant::now();
    let done = anomalies::detect(&support::pools(db), now).await.unwrap();
    let took = started.elapsed();
    let found: Vec<(String, String, String, String, NaiveDate, NaiveDate, f64)> = sqlx::query_as(
        "SELECT coalesce(s.slug, t.slug), coalesce(v.slug, a.service_category), a.kind, a.state, a.start_date, a.end_date,
                (a.actual_total - a.expected_total)::float8
         FROM anomaly a LEFT JOIN service s USING (service_id) LEFT JOIN environment v USING (environment_id)
         LEFT JOIN team t ON t.team_id = a.team_id ORDER BY a.start_date",
    )
    .fetch_all(db)
    .await
    .unwrap();
    let list: Vec<String> = found.iter().map(|one| format!("{one:?}")).collect();
    println!("{done:?} in {took:?}\n{}", list.join("\n"));
    let planted = planted(now);
    assert!(!planted.is_empty());
    for (service, day) in planted {
        let is_it = |one: &&(String, String, String, String, NaiveDate, NaiveDate, f64)| {
            one.0 == service && one.6 > 0.0 && one.4 <= day + Days::new(5) && one.5 >= day
        };
        assert!(found.iter().any(|one| is_it(&one)), "{service} {day} was not found:\n{}", list.join("\n"));
    }
    let alarms = found.iter().filter(|one| one.2 != "drop").count();
    // One is open, the planted one.
    assert!(alarms * 100 <= done.series_count * 2, "{alarms} alarms in {} series", done.series_count);
}

/// Forecasts from what the demo organisation that `db` has taken in.
pub(super) async fn forecasts_hold_what_is_true(db: &PgPool, now: DateTime<Utc>) {
    let forecasted = forecasts::forecast(&support::pools(db), now).await.unwrap();
    assert!(forecasted.forecast_count > 60 && forecasted.hindcast_month_count == 3, "{forecasted:?}");
    let (held, all, error): (i64, i64, f64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE actual BETWEEN low AND high), count(*),
                percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(actual / point - 1)::float8)
         FROM forecast WHERE is_hindcast AND actual IS NOT NULL AND low IS NOT NULL AND point > 0",
    )
    .fetch_one(db)
    .await
    .unwrap();
    println!("{held} of {all} intervals held, the median error is {:.1} %", 100.0 * error);
    // 83 of 93 (89.2 %) held, 0.4 % off.
    assert!(all >= 92 && held * 100 >= all * 88 && error < 0.014, "{held} of {all}, {error}");
}
