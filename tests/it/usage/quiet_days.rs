//! Days without a run of a pipeline: a zero where its sender told of a run after it, so that a run costs what all these days
//! cost.

use super::catalogue_more::{run, values};
use super::{ingest, now, opened, point, send, shop};
use crate::finance::column;
use crate::ledger::Line;
use crate::support::{TestApp, count, pools};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use costwake::focus::DateRange;
use costwake::jobs::ask_for_due_counts;
use costwake::rollup::{metrics_import, pipeline_usage};
use costwake::store::service_measures::Measure;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, event_deliveries, impact_series, metrics, savings};
use serde_json::{Value, json};
use sqlx::PgPool;

// A service that costs 10 on each day of October.
async fn batch(pool: &PgPool) -> TestApp {
    let lines: Vec<Line> = (1..=31).map(|day| Line::of("2026-10", day, "batch", "10")).collect();
    opened(pool, &lines).await
}

// A run of two minutes on this day of October, told when it ended.
async fn ran(pool: &PgPool, id: &str, day: u32) {
    run(pool, id, "acme/batch", &format!("2026-10-{day:02}T10:00:00Z"), 120, json!({})).await;
    told_at_its_end(pool, id).await;
}

// The sender told of a run of something else.
async fn heard(pool: &PgPool, at: &str) {
    run(pool, at, "acme/other", at, 60, json!({})).await;
    told_at_its_end(pool, at).await;
}

async fn told_at_its_end(pool: &PgPool, id: &str) {
    let told = "UPDATE pipeline_run SET received_at = finished_at WHERE external_id = $1";
    sqlx::query(told).bind(id).execute(pool).await.unwrap();
}

// Something came from the sender and was not read yet.
async fn waits(pool: &PgPool, since: &str) {
    let waits = "INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256,
                     received_at, state)
                 SELECT event_source_id, 'waits', 'workflow_run', '{}', '', '', $1, 'new'
                 FROM event_source WHERE name = 'ci'";
    sqlx::query(waits).bind(since.parse::<DateTime<Utc>>().unwrap()).execute(pool).await.unwrap();
}

async fn counted(pool: &PgPool, at: DateTime<Utc>) {
    pipeline_usage::count(&pools(pool), at).await.unwrap();
}

// Days of October with how many runs ended on them.
async fn runs(pool: &PgPool) -> Vec<String> {
    let all = values(pool).await.into_iter();
    all.filter_map(|one| one.strip_prefix("batch pipeline_runs 2026-10-").map(str::to_owned)).collect()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Ten days of 10 with five runs: a run costs 20, and not the 10 of a day with one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_run_costs_what_all_days_since_the_first_cost(pool: PgPool) {
    let app = batch(&pool).await;
    for day in [20, 22, 24, 26, 28] {
        ran(&pool, &day.to_string(), day).await;
    }
    heard(&pool, "2026-10-30T06:00:00Z").await;
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 1", "23 0", "24 1", "25 0", "26 1", "27 0", "28 1", "29 0"]);

    let page = app.get("/services/batch?period=2026-10-20..2026-10-29").await.body;
    assert!(page.contains("$20.00") && page.contains("per unit of runs"), "{page}");
    assert!(!page.contains("of 10 days are known"), "{page}");
    let read = app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/unit-costs?metric=pipeline_runs&period=2026-10-20..2026-10-29";
    let told = app.api("GET", path, &read, Value::Null).await.json();
    let after = &told["groups"][0]["after"];
    let number = |name: &str| after[name].as_str().unwrap_or_default().parse::<BigDecimal>().unwrap();
    assert_eq!(["cost", "usage", "cost_per_unit"].map(number), [100, 5, 20].map(BigDecimal::from), "{told}");
    assert_eq!((&after["known_days"], &after["unknown_days"]), (&json!(10), &json!(0)), "{told}");
    // Before the first run, and since its sender is silent, nothing is known.
    let page = app.get("/services/batch?period=2026-10-15..2026-10-31").await.body;
    assert!(page.contains("10 of 17 days are known; 15 Oct to 19 Oct, 30 Oct to 31 Oct are left out"), "{page}");
    let metric = app.get("/metrics/pipeline_runs").await.body;
    assert!(metric.contains("nothing used") && metric.contains("not known") && metric.contains("$20.00"), "{metric}");

    // That no run ended is no sign that nothing works: of traffic there is no figure then.
    let chosen = app.post_form("/services/batch/unit-metric", &[("metric", "pipeline_runs")]).await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER, "{}", chosen.body);
    let mut conn = pool.acquire().await.unwrap();
    let october = DateRange::new(day("2026-10-01"), day("2026-11-01")).unwrap();
    let traffic = impact_series::measured(&mut conn, Measure::Volume, october).await.unwrap();
    let days: Vec<String> = traffic.iter().map(|one| format!("{} {}", one.charge_date, one.value)).collect();
    assert_eq!(days, [20, 22, 24, 26, 28].map(|day| format!("2026-10-{day} 1")));
    let asked = savings::SavingDays {
        first: day("2026-10-01"),
        money_from: day("2026-10-01"),
        use_from: day("2026-10-18"),
        complete_to: day("2026-10-31"),
    };
    let used = savings::uses(&mut conn, asked).await.unwrap();
    assert_eq!(used.iter().map(|one| (one.traffic, one.traffic_days)).collect::<Vec<_>>(), [(Some(1.0), 5)]);
}

/// A zero needs a sender that told of a run after the day, and that nothing of it waits to be read.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_nobody_told_of_is_no_zero(pool: PgPool) {
    let _app = batch(&pool).await;
    ran(&pool, "1", 20).await;
    ran(&pool, "2", 22).await;
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 1"], "nothing is known after the last run that it told of");
    heard(&pool, "2026-10-24T23:59:00Z").await;
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 1", "23 0"]);
    let reach = "SELECT to_char(complete_through AT TIME ZONE 'UTC', 'DD HH24:MI') FROM metric_reach
                 WHERE metric = 'pipeline_runs'";
    let reached = async || sqlx::query_scalar::<_, String>(reach).fetch_one(&pool).await.unwrap();
    assert_eq!(reached().await, "24 23:59");

    heard(&pool, "2026-10-28T06:00:00Z").await;
    waits(&pool, "2026-10-26T12:00:00Z").await;
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 1", "23 0", "24 0", "25 0"], "it may be a run of the 26th");
    assert_eq!(reached().await, "28 06:00", "runs that were told of are known all the same");
    assert!(ask_for_due_counts(&pools(&pool), now()).await.unwrap(), "until it is read they are counted again");
    sqlx::query("UPDATE event_delivery SET state = 'done'").execute(&pool).await.unwrap();
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 1", "23 0", "24 0", "25 0", "26 0", "27 0"]);

    // That it sends something else says nothing of runs, whose sender may have broken.
    assert!(!ask_for_due_counts(&pools(&pool), now() + TimeDelta::hours(7)).await.unwrap(), "nothing came");
    sqlx::query("UPDATE event_source SET last_received_at = '2026-11-02T07:00:00Z'").execute(&pool).await.unwrap();
    assert!(!ask_for_due_counts(&pools(&pool), now() + TimeDelta::hours(8)).await.unwrap());
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await.last().unwrap(), "27 0");
    heard(&pool, "2026-10-31T06:00:00Z").await;
    assert!(ask_for_due_counts(&pools(&pool), now() + TimeDelta::hours(9)).await.unwrap());
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await.last().unwrap(), "30 0");
}

/// Everything that is read again takes zeros away for that time, and no day with a run.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_with_runs_stay_whole_while_all_is_read_again(pool: PgPool) {
    let app = batch(&pool).await;
    for day in [20, 22, 24] {
        ran(&pool, &day.to_string(), day).await;
    }
    heard(&pool, "2026-10-30T06:00:00Z").await;
    sqlx::query("UPDATE event_delivery SET received_at = '2026-10-20T10:00:00Z'").execute(&pool).await.unwrap();
    counted(&pool, now()).await;
    let kept = values(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(event_deliveries::read_all_again(&mut conn, None, None).await.unwrap(), 4);
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "22 1", "24 1"]);
    let page = app.get("/services/batch?period=2026-10-20..2026-10-24").await.body;
    assert!(page.contains("3 of 5 days are known") && page.contains("per unit of runs"), "they are known: {page}");
    assert!(page.contains("too few to tell"), "three runs say nothing of what one costs: {page}");
    sqlx::query("UPDATE event_delivery SET state = 'done'").execute(&pool).await.unwrap();
    assert!(ask_for_due_counts(&pools(&pool), now()).await.unwrap());
    counted(&pool, now()).await;
    assert_eq!(values(&pool).await, kept);
    assert!(!ask_for_due_counts(&pools(&pool), now() + TimeDelta::hours(1)).await.unwrap());
}

/// A run counts whenever it is read: also where its delivery waited at a count of later ones, or is read again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_run_that_is_read_late_is_counted(pool: PgPool) {
    let _app = batch(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let read = async |id: &str, at: &str| {
        sqlx::query("UPDATE event_delivery SET state = 'done'").execute(&pool).await.unwrap();
        run(&pool, id, "acme/batch", at, 60, json!({})).await;
        told_at_its_end(&pool, id).await;
    };
    ran(&pool, "1", 24).await;
    waits(&pool, "2026-10-24T09:00:00Z").await;
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["24 1"]);
    read("2", "2026-10-24T09:00:00Z").await;
    assert!(pipeline_usage::take_due(&mut conn, now()).await.unwrap(), "it waited, and a later one was counted");
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["24 2"]);
    assert!(!pipeline_usage::take_due(&mut conn, now() + TimeDelta::hours(1)).await.unwrap());

    // Its adapter was mended since.
    let asked = "SELECT count(*) FROM job WHERE kind = 'count_pipelines' AND state = 'waiting'";
    assert_eq!(count(&pool, asked).await, 0);
    let delivery = count(&pool, "SELECT event_delivery_id FROM event_delivery WHERE dedupe_key = 'waits'").await;
    assert!(event_deliveries::read_again(&mut conn, delivery).await.unwrap());
    assert_eq!(event_deliveries::read_all_again(&mut conn, None, None).await.unwrap(), 2);
    assert_eq!(count(&pool, asked).await, 1);
    counted(&pool, now()).await;
    read("3", "2026-10-24T08:00:00Z").await;
    assert!(pipeline_usage::take_due(&mut conn, now() + TimeDelta::hours(2)).await.unwrap(), "it waited");
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["24 3"]);
    assert!(!pipeline_usage::take_due(&mut conn, now() + TimeDelta::hours(3)).await.unwrap());
}

/// Many post their runs to one source, each for its own service: that others ran says nothing of a service.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn who_posts_for_one_service_says_nothing_of_another(pool: PgPool) {
    let _app = batch(&pool).await;
    ran(&pool, "1", 20).await;
    ran(&pool, "2", 23).await;
    heard(&pool, "2026-10-30T06:00:00Z").await;
    sqlx::query("UPDATE event_source SET kind = 'api' WHERE name = 'ci'").execute(&pool).await.unwrap();
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 0", "23 1"]);
}

/// What somebody posts of a day without a run counts, by day or by hour, until it is taken away.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_somebody_else_told_stays(pool: PgPool) {
    let app = batch(&pool).await;
    ran(&pool, "1", 20).await;
    ran(&pool, "2", 23).await;
    heard(&pool, "2026-10-25T06:00:00Z").await;
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 0", "23 1", "24 0"]);
    let token = ingest(&app).await;
    let own =
        json!({ "points": [point("batch", "2026-10-21", json!(4)), point("batch", "2026-10-22T05:00:00Z", json!(2))] });
    send(&app, &token, "pipeline_runs", own).await;
    for _ in 0..2 {
        counted(&pool, now()).await;
        assert_eq!(runs(&pool).await, ["20 1", "21 4", "22 2", "23 1", "24 0"]);
        let zero = "SELECT count(*) FROM metric_point WHERE metric = 'pipeline_minutes' AND value = 0";
        assert_eq!(count(&pool, zero).await, 3, "of the minutes nobody else told");
    }
    let taken = [("service", "batch"), ("first_day", "2026-10-21"), ("last_day", "2026-10-22")];
    let taken = app.post_form("/metrics/pipeline_runs/delete-values", &taken).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.body);
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["20 1", "21 0", "22 0", "23 1", "24 0"]);
}

/// Runs in any order, counted after each or once, make the same days; with runs that go, their days without one go too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn any_order_of_runs_makes_the_same_days(pool: PgPool) {
    let _app = batch(&pool).await;
    heard(&pool, "2026-10-29T06:00:00Z").await;
    for day in [26, 22, 28, 20] {
        ran(&pool, &format!("a{day}"), day).await;
        counted(&pool, now()).await;
    }
    let expected = ["20 1", "21 0", "22 1", "23 0", "24 0", "25 0", "26 1", "27 0", "28 1"];
    assert_eq!(runs(&pool).await, expected, "a late one of an earlier day is the first now");
    let kept = values(&pool).await;
    sqlx::query("DELETE FROM pipeline_run").execute(&pool).await.unwrap();
    for day in [20, 22, 26, 28] {
        ran(&pool, &format!("b{day}"), day).await;
    }
    for _ in 0..2 {
        counted(&pool, now()).await;
        assert_eq!(values(&pool).await, kept);
    }
    sqlx::query("DELETE FROM pipeline_run WHERE external_id = 'b20'").execute(&pool).await.unwrap();
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, &expected[2..]);
    sqlx::query("DELETE FROM pipeline_run").execute(&pool).await.unwrap();
    counted(&pool, now()).await;
    assert!(values(&pool).await.is_empty(), "{:?}", values(&pool).await);
}

/// Only the last 92 days are counted anew: a first run that lies before them is the first all the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_after_a_run_that_is_long_ago_stay(pool: PgPool) {
    let _app = batch(&pool).await;
    ran(&pool, "1", 20).await;
    ran(&pool, "2", 28).await;
    heard(&pool, "2026-10-30T06:00:00Z").await;
    counted(&pool, now()).await;
    let kept = values(&pool).await;
    // From the 25th on.
    counted(&pool, "2027-01-25T08:00:00Z".parse().unwrap()).await;
    assert_eq!(values(&pool).await, kept);
}

/// A service that stopped long ago keeps its zeros, up to 92 days after its last run, when that is not counted any more.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn zeros_stay_when_the_last_run_is_not_counted_any_more(pool: PgPool) {
    let _app = batch(&pool).await;
    ran(&pool, "1", 28).await;
    let zeros = async || -> (i64, Option<NaiveDate>) {
        let zeros = "SELECT count(*), max(charge_date) FROM metric_point WHERE metric = 'pipeline_runs' AND value = 0";
        sqlx::query_as(zeros).fetch_one(&pool).await.unwrap()
    };
    for (at, count, last) in [
        ("2026-12-01T06:00:00Z", 33, "2026-11-30"),
        ("2027-01-28T06:00:00Z", 91, "2027-01-27"),
        ("2027-02-20T06:00:00Z", 92, "2027-01-28"),
        ("2027-05-30T06:00:00Z", 92, "2027-01-28"),
    ] {
        heard(&pool, at).await;
        counted(&pool, at.parse().unwrap()).await;
        assert_eq!(zeros().await, (count, Some(day(last))), "{at}");
    }
}

/// Who builds elsewhere since says nothing at the sender that it left: zeros come once that one's last run is not counted
/// any more, from the first run at the other on, and stay when no run is.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_sender_that_was_left_takes_zeros_away_for_no_longer_than_its_runs_count(pool: PgPool) {
    let _app = batch(&pool).await;
    for day in [10, 12, 14] {
        ran(&pool, &day.to_string(), day).await;
    }
    heard(&pool, "2026-10-20T06:00:00Z").await;
    for statement in [
        "INSERT INTO event_source (name, kind) VALUES ('left', 'gitlab')",
        "UPDATE pipeline_run SET event_source_id = (SELECT event_source_id FROM event_source WHERE name = 'left')
         WHERE external_id = '10'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    counted(&pool, now()).await;
    assert_eq!(runs(&pool).await, ["10 1", "12 1", "14 1"]);
    // Of the 11th nobody told: the one was silent by then, and of the other no run came before the 12th.
    let expected = ["10 1", "12 1", "13 0", "14 1", "15 0", "16 0", "17 0", "18 0", "19 0"];
    // From the 11th on, and from the 15th on, after the last run.
    for at in ["2027-01-11T08:00:00Z", "2027-01-15T08:00:00Z"] {
        counted(&pool, at.parse().unwrap()).await;
        assert_eq!(runs(&pool).await, expected, "{at}");
    }
}

/// Where a service does something that is counted, all that it costs is not the cost of its builds; unless somebody says so.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_build_has_a_unit_cost_where_nothing_else_is_counted(pool: PgPool) {
    let app = shop(&pool).await;
    for (id, repo, end) in
        [("1", "acme/shop", "2026-10-29"), ("2", "acme/shop", "2026-10-31"), ("3", "acme/search", "2026-10-29")]
    {
        run(&pool, id, repo, &format!("{end}T10:00:00Z"), 120, json!({})).await;
    }
    heard(&pool, "2026-11-01T06:00:00Z").await;
    counted(&pool, now()).await;
    // Known on fewer days than runs, and the unit all the same.
    let requests = b"metric,service,day,value\nrequests,shop,2026-10-29,10000\nrequests,shop,2026-10-31,20000\n";
    metrics_import::import(&pools(&pool), requests, "test", "", now()).await.unwrap();
    let url = "?period=2026-10-29..2026-10-31";
    let page = app.get(&format!("/services/shop{url}")).await.body;
    assert!(page.contains("Unit cost, per 1,000 requests") && page.contains("pipeline_runs"), "{page}");
    assert!(!page.contains("per unit of runs") && !page.contains("per unit of minutes"), "{page}");
    let other = app.get(&format!("/services/search{url}")).await.body;
    assert!(other.contains("Unit cost, per unit of runs"), "{other}");
    let mut conn = pool.acquire().await.unwrap();
    for (slug, expected) in [("shop", "requests"), ("search", "pipeline_runs")] {
        let id: i64 = sqlx::query_scalar("SELECT service_id FROM service WHERE slug = $1")
            .bind(slug)
            .fetch_one(&pool)
            .await
            .unwrap();
        let job_minutes = metrics::job_minutes(&mut conn).await.unwrap();
        let days = DateRange::days_to(day("2026-10-31"), 3);
        let units = metrics::units(&mut conn, id, days, &job_minutes).await.unwrap();
        assert_eq!(units.first().map(String::as_str), Some(expected), "{slug}");
    }
    // The page of the metric, the list, its file and the API have the same rule, and name what they leave out.
    let left_out = "1 service whose runs are builds of its own is left out: shop.";
    let read = app.token(TokenScope::Read, Role::Finance).await;
    let asked = "metric=pipeline_runs&period=2026-10-29..2026-10-31";
    let told = async || {
        let api = app.api("GET", &format!("/api/v1/unit-costs?{asked}"), &read, Value::Null).await.json();
        let all = api["groups"].as_array().unwrap().clone();
        let groups: Vec<String> = all.iter().map(|one| one["group"].as_str().unwrap().to_owned()).collect();
        (groups, api)
    };
    let (groups, api) = told().await;
    assert_eq!((groups, &api["left_out"]), (vec!["search".to_owned()], &json!(["shop"])), "{api}");
    assert!(api["notes"].as_array().unwrap().contains(&json!(left_out)), "{api}");
    let after = &api["groups"][0]["after"];
    assert_eq!((&after["cost_per_unit"], &after["no_interval"]), (&Value::Null, &json!("too-few-units")), "{api}");
    let page = app.get(&format!("/unit-costs?{asked}")).await.body;
    assert!(page.contains(left_out) && page.contains("too few to tell"), "{page}");
    let csv = app.get(&format!("/unit-costs.csv?{asked}")).await.body;
    let reasons = column(&csv, "Group").into_iter().zip(column(&csv, "Side")).zip(column(&csv, "NoInterval"));
    let now: Vec<(String, String)> =
        reasons.filter(|((_, side), _)| side == "now").map(|((group, _), reason)| (group, reason)).collect();
    let of = |group: &str, reason: &str| (group.to_owned(), reason.to_owned());
    assert_eq!(now, [of("search", "too-few-units"), of("shop", "own-builds")], "{csv}");
    let metric = app.get("/metrics/pipeline_runs").await.body;
    assert!(metric.contains(left_out) && metric.contains("too few to tell"), "{metric}");
    let csv = app.get("/metrics/pipeline_runs/unit-costs.csv").await.body;
    let costs = column(&csv, "Service").into_iter().zip(column(&csv, "UnitCost"));
    assert!(costs.filter(|(service, _)| service == "shop").all(|(_, cost)| cost.is_empty()), "{csv}");
    let environments = app.get(&format!("/unit-costs?{asked}&by=env")).await;
    assert_eq!(environments.status, StatusCode::OK, "{}", environments.body);
    // Both are in one environment, which is left out as a whole.
    let nothing = "Nothing here has a cost per unit of runs from 29";
    assert!(environments.body.contains(nothing), "{}", environments.body);

    let chosen = app.post_form("/services/shop/unit-metric", &[("metric", "pipeline_runs")]).await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER, "{}", chosen.body);
    let (groups, api) = told().await;
    assert_eq!((groups.len(), &api["left_out"]), (2, &json!([])), "{api}");
    let page = app.get(&format!("/services/shop{url}")).await.body;
    assert!(page.contains("Unit cost, per unit of runs") && !page.contains("per unit of minutes"), "{page}");
}
