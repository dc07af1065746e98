//! Limits: what is read is read to the end or refused with a sentence, and what cannot be read is not taken.

use crate::support::{self, count};
use axum::http::StatusCode;
use chrono::Utc;
use costwake::store::catalogue::environment::{self, EnvironmentValues};
use costwake::store::catalogue::{CatalogueError, ENTRY_COUNT_MAX};
use costwake::store::limits::{self, LimitError};
use costwake::store::savings::{self, Dismissal};
use costwake::store::tokens::TokenScope;
use costwake::store::workload_goals::{self, GOAL_COUNT_MAX, WorkloadGoal};
use costwake::store::{Role, mapping_rules, tag_rules};
use serde_json::{Value, json};
use sqlx::PgPool;

async fn execute(pool: &PgPool, statement: &'static str, number: i64) {
    sqlx::query(statement).bind(number).execute(pool).await.unwrap();
}

fn full(error: &sqlx::Error) -> bool {
    matches!(limits::of(error), Some(LimitError::Full { .. }))
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_tag_rule_too_many_is_refused_beside_its_form(pool: PgPool) {
    let rules = "INSERT INTO tag_rule (tag_key, changed_by, changed_at, reason)
                 SELECT 'key-' || n, 'test', now(), 'Test.' FROM generate_series(1, $1) n";
    execute(&pool, rules, tag_rules::RULE_COUNT_MAX).await;
    let app = support::app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let refused = app.post_form("/tags", &[("key", "owner"), ("reason", "We must know whom to ask.")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(refused.body.contains("There are 500 tag rules already"), "{}", refused.body);
    assert!(refused.body.contains("We must know whom to ask."), "nothing that was filled in is lost");
    assert_eq!(count(&pool, "SELECT count(*) FROM tag_rule").await, tag_rules::RULE_COUNT_MAX);
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(tag_rules::list(&mut conn).await.unwrap().len() as i64, tag_rules::RULE_COUNT_MAX);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rule_too_many_is_not_added(pool: PgPool) {
    let rules = "INSERT INTO mapping_rule (position, applies_to, conditions, service_from_attribute, created_by)
                 SELECT 100000 + n, 'charges', '[]', 'tag:service', 'test' FROM generate_series(1, $1) n";
    let known = count(&pool, "SELECT count(*) FROM mapping_rule").await;
    execute(&pool, rules, mapping_rules::RULE_COUNT_MAX - known - 1).await;
    let mut conn = pool.acquire().await.unwrap();
    let values = mapping_rules::RuleValues {
        service_from_attribute: Some("tag:app".into()),
        ..mapping_rules::RuleValues::default()
    };
    let last = mapping_rules::Place::Last;
    mapping_rules::insert(&mut conn, &values, last, "test", Utc::now()).await.unwrap();
    assert_eq!(mapping_rules::list(&mut conn).await.unwrap().len() as i64, mapping_rules::RULE_COUNT_MAX);
    let error = mapping_rules::insert(&mut conn, &values, last, "test", Utc::now()).await.unwrap_err();
    assert!(full(&error), "{error}");
}

/// Rules may add more environments than people, one for each preview: all of them are read.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_catalogue_is_closed_to_people_before_it_is_too_long_to_read(pool: PgPool) {
    let environments = "INSERT INTO environment (slug, name, kind, origin)
                        SELECT 'pr-' || n, 'PR ' || n, 'preview', 'rule' FROM generate_series(1, $1) n";
    execute(&pool, environments, ENTRY_COUNT_MAX + 1).await;
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(environment::list(&mut conn).await.unwrap().len() as i64, ENTRY_COUNT_MAX + 1);
    let values = EnvironmentValues {
        name: "One more".into(),
        kind: "other".into(),
        last_day: None,
        idle_days: 7,
        aliases: Vec::new(),
    };
    let error = environment::insert(&mut conn, "one-more", &values, "user").await.unwrap_err();
    assert!(matches!(error, CatalogueError::Full(_)), "{error}");
    assert!(error.to_string().contains("There are 20,000 environments already"), "{error}");
    // Those that are there can still be changed.
    let known = environment::get(&mut conn, "pr-7").await.unwrap().unwrap();
    environment::update(&mut conn, &known, &values).await.unwrap();
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn goals_are_read_to_the_end_or_refused_with_a_sentence(pool: PgPool) {
    let metrics = "INSERT INTO metric (metric, meaning, unit, over_hours, over_services, is_assumed, changed_by,
                       changed_at)
                   SELECT 'metric_' || n, 'other', '', 'sum', 'sum', true, 'test', now() FROM generate_series(1, $1) n";
    execute(&pool, metrics, GOAL_COUNT_MAX + 1).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('shop', 'Shop')").execute(&pool).await.unwrap();
    let goals = "INSERT INTO workload_goal (service_id, metric, goal, stated_by, stated_at)
                 SELECT (SELECT service_id FROM service WHERE slug = 'shop'), 'metric_' || n, 'cost', 'test', now()
                 FROM generate_series(1, $1) n";
    execute(&pool, goals, GOAL_COUNT_MAX).await;
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let all = app.api("GET", "/api/v1/goals", &token, Value::Null).await.json();
    assert_eq!(all.as_array().unwrap().len() as i64, GOAL_COUNT_MAX);

    // One that is there can be stated again, one more cannot.
    let mut conn = pool.acquire().await.unwrap();
    let mut goal = workload_goals::list(&mut conn, None).await.unwrap().remove(0);
    workload_goals::put(&mut conn, &goal).await.unwrap();
    goal.metric = format!("metric_{}", GOAL_COUNT_MAX + 1);
    let error = workload_goals::put(&mut conn, &goal).await.unwrap_err();
    assert!(full(&error), "{error}");

    let more = "INSERT INTO workload_goal (service_id, metric, goal, stated_by, stated_at)
                SELECT service_id, 'metric_' || $1::bigint, 'cost', 'test', now() FROM service WHERE slug = 'shop'";
    execute(&pool, more, GOAL_COUNT_MAX + 1).await;
    let refused = app.api("GET", "/api/v1/goals", &token, Value::Null).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let sentence = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(sentence.starts_with("There are more than 10,000 stated goals."), "{sentence}");
    let own: Vec<WorkloadGoal> = workload_goals::list(&mut conn, Some(&[])).await.unwrap();
    assert!(own.is_empty(), "those of other services are not counted");
}

/// A dismissal that is not read would be a saving again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn dismissals_are_not_cut(pool: PgPool) {
    let dismissed = "INSERT INTO saving_dismissal (saving_key, reason, amount, billing_currency, dismissed_by,
                         dismissed_at)
                     SELECT 'saving-' || n, 'Test.', 1, 'USD', 'test', now() FROM generate_series(1, $1) n";
    execute(&pool, dismissed, 20_000).await;
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(savings::dismissals(&mut conn).await.unwrap().len(), 20_000);
    let one = Dismissal {
        saving_key: "one-more".into(),
        reason: "Test.".into(),
        amount: 1.into(),
        billing_currency: "USD".into(),
        dismissed_by: "test".into(),
        dismissed_at: Utc::now(),
    };
    assert!(full(&savings::dismiss(&mut conn, &one).await.unwrap_err()));
    let more = "INSERT INTO saving_dismissal (saving_key, reason, amount, billing_currency, dismissed_by, dismissed_at)
                VALUES ('one-more', 'Test.', $1, 'USD', 'test', now())";
    execute(&pool, more, 1).await;
    let error = savings::dismissals(&mut conn).await.unwrap_err();
    assert_eq!(limits::of(&error), Some(LimitError::TooMany { limit: 20_000, what: "dismissed savings" }));
}

/// A list that is told in part says so.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn lists_of_the_api_say_whether_they_are_cut(pool: PgPool) {
    let app = support::app(pool).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    for path in ["/api/v1/commitments", "/api/v1/forecast"] {
        let told = app.api("GET", path, &token, Value::Null).await.json();
        assert_eq!(told["is_cut"], json!(false), "{path}: {told}");
    }
}
