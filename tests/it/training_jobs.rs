//! Jobs that a rule names, training for example: from what CI senders tell to what one costs before and after a release.

use crate::finance::{World, column, decimal, texts};
use crate::senders::{Doors, Given, deliver};
use crate::support::count;
use crate::units::{checkout_cents, day, deploy, filled};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use costwake::events::Headers;
use costwake::rollup::events::read_new;
use costwake::rollup::pipeline_usage;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const FIRST: &str = "2026-10-01";
const LAST: &str = "2026-11-18";
const RELEASED: &str = "2026-11-02";
const GITHUB_MINUTES: i64 = 30;
const GITLAB_MINUTES: i64 = 45;

// Runs of the training pipeline at GitHub on a day; one job of a pipeline at GitLab comes to them.
fn runs(at: NaiveDate) -> i64 {
    2 + at.signed_duration_since(day(FIRST)).num_days() % 3
}

fn jobs(at: NaiveDate) -> i64 {
    runs(at) + 1
}

// Each takes a fifth longer since the release.
fn minutes(usual: i64, at: NaiveDate) -> i64 {
    if at > day(RELEASED) { usual * 6 / 5 } else { usual }
}

fn moment(at: NaiveDate, minute: i64) -> DateTime<Utc> {
    at.and_hms_opt(6, 0, 0).unwrap().and_utc() + TimeDelta::minutes(minute)
}

fn github(event: &str, body: Value) -> Given {
    let mut body = body;
    body["repository"] = json!({"full_name": "acme/checkout"});
    let headers = Headers::redacted([("x-github-event", event)]);
    Given { headers, body: body.to_string().into_bytes(), received_at: Utc::now() }
}

fn workflow(name: &str, id: i64, at: NaiveDate) -> Given {
    let (from, to) = (moment(at, 0), moment(at, minutes(GITHUB_MINUTES, at)));
    github(
        "workflow_run",
        json!({"workflow_run": {"id": id, "run_attempt": 1, "status": "completed", "conclusion": "success", "name": name,
            "head_sha": "a".repeat(40), "created_at": from, "run_started_at": from, "updated_at": to}}),
    )
}

// A job of a run that is training as a whole: part of it, though its machine says so too.
fn workflow_job(run_id: i64, at: NaiveDate) -> Given {
    github(
        "workflow_job",
        json!({"workflow_job": {"id": run_id * 10, "run_id": run_id, "run_attempt": 1, "status": "completed",
            "conclusion": "success", "name": "fit", "workflow_name": "Train-ranker", "labels": ["self-hosted", "gpu-a100"],
            "started_at": moment(at, 1), "completed_at": moment(at, 20)}}),
    )
}

fn pipeline(id: i64, at: NaiveDate) -> Given {
    let build = |id: i64, name: &str, tags: Value, minutes: i64| {
        json!({"id": id, "name": name, "stage": "fit", "status": "success", "created_at": moment(at, 0),
            "started_at": moment(at, 5), "finished_at": moment(at, 5 + minutes), "runner": {"id": 1, "tags": tags}})
    };
    let body = json!({"object_kind": "pipeline", "project": {"path_with_namespace": "acme/checkout"},
        "object_attributes": {"id": id, "status": "success", "created_at": moment(at, 0), "finished_at": moment(at, 60)},
        "builds": [build(id * 10, "embeddings", json!(["linux", "GPU"]), minutes(GITLAB_MINUTES, at)),
            build(id * 10 + 1, "lint", json!(["linux"]), 3)]});
    Given { headers: Headers::default(), body: body.to_string().into_bytes(), received_at: Utc::now() }
}

/// What CI senders tell of the checkout: runs of its pipelines on each day, and jobs in them. Read, and counted.
pub async fn trained(db: &PgPool, world: &World) {
    let _doors = Doors::new(db).await;
    let owner = "INSERT INTO service_detail (service_id, repositories, changed_by, changed_at)
                 SELECT service_id, '{acme/checkout}', 'ann', now() FROM service WHERE slug = 'checkout'";
    sqlx::query(owner).execute(db).await.unwrap();
    let mut id = 0;
    for at in day(FIRST).iter_days().take_while(|at| *at <= day(LAST)) {
        let mut given = vec![];
        for _ in 0..runs(at) {
            id += 1;
            given.push(("github", workflow("Train-ranker", id, at)));
        }
        given.push(("github", workflow_job(id, at)));
        given.push(("github", workflow("Tests", 1_000_000 + id, at)));
        given.push(("gitlab", pipeline(id, at)));
        for (number, (sender, one)) in given.iter().enumerate() {
            deliver(db, sender, &format!("{at}-{number}"), one).await;
        }
    }
    assert_eq!(read_new(db).await.unwrap().failed, 0);
    counted(world).await;
}

async fn counted(world: &World) {
    pipeline_usage::count(&world.app.state.pools, "2026-11-19T06:00:00Z".parse().unwrap()).await.unwrap();
}

async fn value(db: &PgPool, metric: &str, at: NaiveDate) -> Option<BigDecimal> {
    let value = "SELECT value FROM metric_point JOIN service USING (service_id)
                 WHERE metric = $1 AND charge_date = $2 AND slug = 'checkout'";
    sqlx::query_scalar(value).bind(metric).bind(at).fetch_optional(db).await.unwrap()
}

/// Rules name what is training, by pipeline and source or by the label of a job's machine; a job counts with its run where
/// that is training itself. Then a training job has a unit cost before and after a release.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_training_job_has_a_unit_cost_before_and_after_a_release(db: PgPool) {
    let world = filled(&db).await;
    trained(&db, &world).await;
    let at = day("2026-11-01");
    assert_eq!(value(&db, "training_jobs", at).await, None, "no rule names any");
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let add = async |body: Value| world.app.api("POST", "/api/v1/job-kinds", &admin, body).await;
    for (body, sentence) in [
        (json!({"attribute": "region", "operator": "glob", "value": "x", "kind": "training"}), "Runs are known by"),
        (json!({"attribute": "job", "operator": "glob", "value": "", "kind": "training"}), "needs a value"),
        (json!({"attribute": "job", "operator": "glob", "value": "x", "kind": "Training jobs"}), "small letters"),
        (
            json!({"source": "nobody", "attribute": "job", "operator": "glob", "value": "x", "kind": "training"}),
            "no event source",
        ),
    ] {
        let refused = add(body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
        assert!(refused.body.contains(sentence), "{}", refused.body);
    }
    let first = add(json!({"source": "github", "attribute": "pipeline", "operator": "glob", "value": "train-*", "kind": "training"})).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    let second = add(json!({"attribute": "label", "operator": "prefix", "value": "gpu", "kind": "training"})).await;
    assert_eq!(second.status, StatusCode::CREATED, "{}", second.body);
    assert_eq!(count(&db, "SELECT count(*) FROM job WHERE kind = 'count_pipelines'").await, 1, "they are counted anew");
    for _ in 0..2 {
        counted(&world).await;
        assert_eq!(value(&db, "training_jobs", at).await, Some(BigDecimal::from(jobs(at))));
        let minutes = runs(at) * GITHUB_MINUTES + GITLAB_MINUTES;
        assert_eq!(value(&db, "training_minutes", at).await, Some(BigDecimal::from(minutes)));
        // All runs of pipelines are counted as before: training, tests, and the pipeline at GitLab.
        assert_eq!(value(&db, "pipeline_runs", at).await, Some(BigDecimal::from(runs(at) + 2)));
    }

    let id = deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    let read = world.app.token(TokenScope::Read, Role::Finance).await;
    let answer = world.app.api("GET", &format!("/api/v1/deployments/{id}/unit-costs"), &read, Value::Null).await.json();
    let one = answer.as_array().unwrap().iter().find(|one| one["metric"] == "training_jobs").unwrap();
    let before: Vec<NaiveDate> = (1..=28).map(|back| day(RELEASED) - Days::new(back)).collect();
    let cents: i64 = before.iter().map(|at| checkout_cents(*at)).sum();
    let used: i64 = before.iter().map(|at| jobs(*at)).sum();
    assert_eq!(decimal(one["before"]["cost"].as_str().unwrap()), BigDecimal::new(cents.into(), 2), "{one}");
    assert_eq!(decimal(one["before"]["usage"].as_str().unwrap()), BigDecimal::from(used), "{one}");
    let exact = (BigDecimal::new(cents.into(), 2) / BigDecimal::from(used)).with_prec(30).normalized();
    assert_eq!(decimal(one["before"]["cost_per_unit"].as_str().unwrap()), exact);
    let per = |side: &str| decimal(one[side]["cost_per_unit"].as_str().unwrap());
    assert!(per("after") > per("before"), "a request costs more since the release: {one}");
    // Beside its cost: the hours that the bill says, one a day, and the minutes that its runs took.
    let resource = |name: &str| {
        let all = one["resources"].as_array().unwrap();
        all.iter().find(|resource| resource["name"] == name).unwrap_or_else(|| panic!("{name}: {one}"))
    };
    assert_eq!(resource("Things")["unit"], "Hours");
    let minutes: i64 = before.iter().map(|at| runs(*at) * GITHUB_MINUTES + GITLAB_MINUTES).sum();
    for (name, of_all) in [("Things", 28), ("training_minutes", minutes)] {
        let told = decimal(resource(name)["before"]["value"].as_str().unwrap());
        let expected = BigDecimal::from(of_all) / BigDecimal::from(used);
        assert_eq!(told.with_prec(9), expected.with_prec(9), "{name}: {one}");
    }
    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{id}")).await.body;
    assert!(page.contains("training_jobs") && page.contains("training_minutes"), "{page}");
    assert!(page.contains("Duration and resources of a run") && page.contains("Hours a run"), "{page}");
}

/// What a goal asks of jobs is told by their own minutes, whatever requests of the service wait for: those are answered
/// faster since the release, and jobs take a fifth longer. Where minutes of runs are not known, the answer says that.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_goal_of_jobs_is_told_by_how_long_they_take(db: PgPool) {
    let world = filled(&db).await;
    trained(&db, &world).await;
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let read = world.app.token(TokenScope::Read, Role::Finance).await;
    for rule in [
        json!({"attribute": "pipeline", "operator": "glob", "value": "train-*", "kind": "training"}),
        json!({"attribute": "label", "operator": "prefix", "value": "gpu", "kind": "training"}),
    ] {
        let made = world.app.api("POST", "/api/v1/job-kinds", &admin, rule).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    counted(&world).await;
    for metric in ["training_jobs", "requests", "pipeline_runs"] {
        let path = format!("/api/v1/services/checkout/goals/{metric}");
        let stated = world.app.api("PUT", &path, &admin, json!({"goal": "latency"})).await;
        assert_eq!(stated.status, StatusCode::NO_CONTENT, "{}", stated.body);
    }
    let id = deploy(&db, "checkout", "production", "2026-11-02T09:00:00Z").await;
    let path = format!("/api/v1/deployments/{id}/unit-costs");
    let answer = async |metric: &str| {
        let all = world.app.api("GET", &path, &read, Value::Null).await.json();
        let one = all.as_array().unwrap().iter().find(|one| one["metric"] == metric);
        one.unwrap_or_else(|| panic!("{metric}: {all}")).clone()
    };
    let one = answer("training_jobs").await;
    assert_eq!((&one["duration_metric"], &one["verdict"]), (&json!("training_minutes"), &json!("worse")), "{one}");
    let before: Vec<NaiveDate> = (1..=28).map(|back| day(RELEASED) - Days::new(back)).collect();
    let took: i64 = before.iter().map(|at| runs(*at) * GITHUB_MINUTES + GITLAB_MINUTES).sum();
    let per_job = BigDecimal::from(took) / BigDecimal::from(before.iter().map(|at| jobs(*at)).sum::<i64>());
    assert_eq!(decimal(one["duration_before"]["value"].as_str().unwrap()).with_prec(9), per_job.with_prec(9), "{one}");
    let sentence = one["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("Slower by ") && sentence.contains(" a job: worse for its goal"), "{sentence}");
    // Requests have the latency of requests.
    let one = answer("requests").await;
    assert_eq!((&one["duration_metric"], &one["verdict"]), (&json!("latency"), &json!("better")), "{one}");
    let page = world.finance().await.get(&format!("/deployments/{id}")).await.body;
    let section = texts(&page, "section[aria-labelledby=h-unit]").join(" ");
    assert!(section.contains("minutes a run") && section.contains("a job: worse for its goal"), "{section}");

    assert_eq!(answer("pipeline_runs").await["duration_metric"], "pipeline_minutes");
    // One run of each day told no start, and all others did.
    let tests = "UPDATE pipeline_run SET started_at = NULL WHERE name = 'Tests'";
    sqlx::query(tests).execute(&db).await.unwrap();
    counted(&world).await;
    assert_eq!(value(&db, "pipeline_minutes", day("2026-11-01")).await, None, "not known is no zero");
    let one = answer("pipeline_runs").await;
    assert_eq!((&one["duration_metric"], &one["verdict"]), (&Value::Null, &json!("not-known")), "{one}");
    let sentence = one["sentence"].as_str().unwrap();
    assert!(sentence.contains("runs of these days are known and their minutes are not"), "{sentence}");
}

/// The page of the metric shows what one cost each day, adds up with its CSV, and says why where nothing is known.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_page_of_a_metric_shows_what_a_unit_cost(db: PgPool) {
    let world = filled(&db).await;
    trained(&db, &world).await;
    let finance = world.finance().await;
    let fields = [("attribute", "pipeline"), ("operator", "equals"), ("value", "TRAIN-ranker"), ("kind", "training")];
    let added = finance.post_form("/settings/job-kinds", &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    assert!(finance.get("/settings/job-kinds").await.body.contains("being counted"));
    let section = |body: &str| texts(body, "section[aria-labelledby=h-unit]").join(" ");
    let none = section(&finance.get("/metrics/training_jobs").await.body);
    assert!(none.contains("No unit cost is known of these days"), "{none}");
    counted(&world).await;
    let page = finance.get("/settings/job-kinds").await.body;
    let total: i64 = day(FIRST).iter_days().take_while(|at| *at <= day(LAST)).map(runs).sum();
    assert!(page.contains("pipeline or workflow is TRAIN-ranker") && page.contains(&format!(">{total}<")), "{page}");

    let page = finance.get("/metrics/training_jobs").await;
    let shown = section(&page.body);
    assert!(
        shown.contains("49 days known, 41 not known") && shown.contains("Show the unit costs as a table"),
        "{shown}"
    );
    let csv = finance.get("/metrics/training_jobs/unit-costs.csv").await;
    assert_eq!(csv.status, StatusCode::OK, "{}", csv.body);
    let (days, units, costs) =
        (column(&csv.body, "Day"), column(&csv.body, "UnitCost"), column(&csv.body, "EffectiveCost"));
    let place = days.iter().position(|one| one == "2026-11-01").unwrap();
    // Of production and staging together.
    let cost = BigDecimal::new((checkout_cents(day("2026-11-01")) + 1_000).into(), 2);
    assert_eq!(decimal(&costs[place]), cost);
    let exact = (cost / BigDecimal::from(runs(day("2026-11-01")))).with_prec(30).normalized();
    assert_eq!(decimal(&units[place]), exact);
    let unknown = days.iter().position(|one| one == "2026-09-15").unwrap();
    assert_eq!(units[unknown], "", "not known is no zero");
    // Who sees no money sees the metric and no unit cost.
    let admin = world.app.browser(Role::Admin, false, &[]).await;
    assert!(!admin.get("/metrics/training_jobs").await.body.contains("h-unit"));
    assert_eq!(admin.get("/metrics/training_jobs/unit-costs.csv").await.status, StatusCode::FORBIDDEN);
    let mean = section(&finance.get("/metrics/latency").await.body);
    assert!(mean.contains("do not add up"), "{mean}");

    // Taken away, it counts nothing; put back, the same again. What somebody else sent of the metric stays.
    let ingest = world.app.token(TokenScope::Ingest, Role::Finance).await;
    let own = json!({"points": [{"service": "search", "time": "2026-11-01", "value": "7"}]});
    let sent = world.app.api("POST", "/api/v1/metrics/training_jobs/points", &ingest, own).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.body);
    let rule = count(&db, "SELECT job_kind_rule_id FROM job_kind_rule").await;
    let gone = finance.post_form(&format!("/settings/job-kinds/{rule}/delete"), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    counted(&world).await;
    assert_eq!(count(&db, "SELECT count(*) FROM metric_point WHERE metric = 'training_jobs'").await, 1);
    assert!(finance.get("/settings/job-kinds").await.body.contains("Put back"));
    assert_eq!(
        finance.post_form(&format!("/settings/job-kinds/{rule}/restore"), &[]).await.status,
        StatusCode::SEE_OTHER
    );
    counted(&world).await;
    assert_eq!(count(&db, "SELECT count(*) FROM metric_point WHERE metric = 'training_jobs'").await, 50);
    assert_eq!(count(&db, "SELECT count(*) FROM audit_log WHERE action LIKE 'job_kind.%'").await, 3);
}

/// A job that no CI system tells of is posted: taken once, refused with a sentence, and counted by its label.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_job_is_posted_by_whoever_ran_it(db: PgPool) {
    let world = filled(&db).await;
    let ingest = world.app.token(TokenScope::Ingest, Role::Finance).await;
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let post = async |body: Value| world.app.api("POST", "/api/v1/job-runs", &ingest, body).await;
    let job = json!({"id": "train-7", "name": "ranker", "service": "checkout", "labels": {"mode": "train"},
        "started_at": "2026-11-01T10:00:00Z", "finished_at": "2026-11-01T11:30:00Z"});
    for (field, value, sentence) in [
        ("status", json!("in_progress"), "once it has ended"),
        ("finished_at", json!("2026-11-01T09:00:00Z"), "finished_at is before started_at"),
        ("started_at", json!("yesterday"), "started_at is no time"),
        ("service", Value::Null, "service is missing"),
        ("name", json!(" "), "name must not be empty"),
        ("colour", json!("red"), "unknown field"),
    ] {
        let mut wrong = job.clone();
        wrong[field] = value;
        let refused = post(wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", refused.body);
        assert!(refused.body.contains(sentence), "{}", refused.body);
    }
    assert_eq!(count(&db, "SELECT count(*) FROM event_delivery WHERE event_name = 'job_run'").await, 0);
    for status in [StatusCode::ACCEPTED, StatusCode::OK] {
        let taken = post(job.clone()).await;
        assert_eq!(taken.status, status, "{}", taken.body);
    }
    // Sent again before it was read, it is read even where who was to read the first is gone.
    sqlx::query("DELETE FROM job WHERE kind = 'normalize_events'").execute(&db).await.unwrap();
    assert_eq!(post(job.clone()).await.status, StatusCode::OK);
    assert_eq!(count(&db, "SELECT count(*) FROM job WHERE kind = 'normalize_events'").await, 1);
    let mut other = job.clone();
    other["name"] = json!("another");
    assert_eq!(post(other).await.status, StatusCode::CONFLICT);
    let rule =
        json!({"source": "api", "attribute": "tag:mode", "operator": "equals", "value": "train", "kind": "training"});
    assert_eq!(world.app.api("POST", "/api/v1/job-kinds", &admin, rule).await.status, StatusCode::CREATED);
    assert_eq!(read_new(&db).await.unwrap().failed, 0);
    counted(&world).await;
    let at = day("2026-11-01");
    assert_eq!(value(&db, "training_jobs", at).await, Some(BigDecimal::from(1)));
    assert_eq!(value(&db, "training_minutes", at).await, Some(BigDecimal::from(90)));
    // Whatever else is posted since, nobody told that no job of this service ended: until its next one is posted.
    let zero = "SELECT count(*) FROM metric_point WHERE metric LIKE 'training%' AND value = 0";
    assert_eq!(count(&db, zero).await, 0);
    let mut next = job.clone();
    next["id"] = json!("train-8");
    next["started_at"] = json!("2026-11-04T10:00:00Z");
    next["finished_at"] = json!("2026-11-04T11:00:00Z");
    assert_eq!(post(next).await.status, StatusCode::ACCEPTED);
    assert_eq!(read_new(&db).await.unwrap().failed, 0);
    counted(&world).await;
    assert_eq!(count(&db, zero).await, 4, "two days of jobs and of their minutes");
    for (at, expected) in [("2026-10-31", None), ("2026-11-02", Some(0)), ("2026-11-03", Some(0)), ("2026-11-05", None)]
    {
        for metric in ["training_jobs", "training_minutes"] {
            assert_eq!(value(&db, metric, day(at)).await, expected.map(BigDecimal::from), "{metric} on {at}");
        }
    }
    // Whatever rules say of pipelines, it is no deployment.
    let fixed = json!({"applies_to": "deployments", "conditions": [{"attribute": "pipeline", "operator": "present"}],
        "service": "checkout", "environment": "production", "reason": "A rule for all pipelines."});
    let added = world.app.api("POST", "/api/v1/rules", &admin, fixed).await;
    assert!(added.status.is_success(), "{}", added.body);
    assert_eq!(count(&db, "SELECT count(*) FROM deployment").await, 0);
}
