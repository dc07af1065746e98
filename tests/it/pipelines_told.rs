//! Runs of pipelines whose deployments are told by whoever deployed: a rule about the pipeline makes no second deployment
//! of a release, whatever came first, and pages say so before there is a rule.

use crate::senders::emptied;
use crate::support::{count, pools};
use crate::webhooks::{Github, minute, repository, status};
use costwake::rollup::events::read_new;
use costwake::rollup::remap;
use costwake::store::{Role, event_deliveries, unmapped};
use serde_json::{Value, json};
use sqlx::PgPool;

const RELEASES: i64 = 3;
/// A release that runs of the pipeline alone tell of.
const UNTOLD: i64 = 9;

// A run of a pipeline from that minute on, for ten minutes, about the commit of a version.
fn run(name: &str, version: i64, at: i64) -> Value {
    json!({"action": "completed", "repository": repository(), "workflow_run": {"id": at + 5_000, "run_attempt": 1,
           "status": "completed", "conclusion": "success", "name": name, "run_started_at": minute(at),
           "updated_at": minute(at + 10), "head_sha": format!("{version:040x}"), "head_branch": "main"}})
}

// The deployment of a version in such a run. The earlier of its two statuses lies before the run and far from its end.
fn deployed(version: i64, at: i64) -> [Value; 2] {
    let text = version.to_string();
    [status(version, &text, at - 120, "queued", at - 120), status(version, &text, at - 120, "success", at + 7)]
}

fn begin(version: i64) -> i64 {
    version * 300
}

// What is sent, each with its event.
fn bodies() -> Vec<(&'static str, Value)> {
    let mut bodies = vec![("workflow_run", run("Deploy", UNTOLD, begin(UNTOLD)))];
    for version in 1..=RELEASES {
        bodies.push(("workflow_run", run("Deploy", version, begin(version))));
        bodies.extend(deployed(version, begin(version)).map(|body| ("deployment_status", body)));
    }
    bodies
}

async fn catalogue(pool: &PgPool) {
    sqlx::query(
        "WITH s AS (INSERT INTO service (slug, name) VALUES ('checkout', 'checkout'))
         INSERT INTO environment (slug, name, kind) VALUES ('production', 'production', 'production')",
    )
    .execute(pool)
    .await
    .unwrap();
}

// A rule makes the pipeline "Deploy" a deployment, or none does.
async fn with_rule(pool: &PgPool, is_there: bool) -> u64 {
    let statement = if is_there {
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_id, environment_id, created_by)
         SELECT 1, 'deployments', '[{\"attribute\":\"pipeline\",\"operator\":\"equals\",\"value\":\"Deploy\"}]',
                service_id, environment_id, 'test' FROM service, environment
         WHERE service.slug = 'checkout' AND environment.slug = 'production'"
    } else {
        "DELETE FROM mapping_rule WHERE conditions::text LIKE '%Deploy%'"
    };
    sqlx::query(statement).execute(pool).await.unwrap();
    mapped(pool).await
}

async fn mapped(pool: &PgPool) -> u64 {
    let now = "2026-03-09T00:00:00Z".parse().unwrap();
    remap::remap(&pools(pool), "test", now).await.unwrap().deployments_moved
}

async fn timeline(pool: &PgPool) -> Vec<Value> {
    sqlx::query_scalar(
        "SELECT jsonb_build_array(d.external_id, d.standing, d.kind, d.started_at, d.finished_at, d.superseded_at,
                (SELECT count(*) FROM deployment_service x WHERE x.deployment_id = d.deployment_id), d.environment_raw)
         FROM deployment d ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn ids(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT external_id FROM deployment ORDER BY external_id").fetch_all(pool).await.unwrap()
}

/// Runs that are told as deployments are none, with the rule before and after them, and in any order of arrival; the one
/// that is not told is one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_that_its_sender_tells_of_stands_once(pool: PgPool) {
    let github = Github::new(&pool).await;
    catalogue(&pool).await;
    let bodies = bodies();
    let send = async |order: &[usize], at_once: bool| {
        for index in order {
            let (event, body) = &bodies[*index];
            assert_eq!(github.signed(event, &index.to_string(), body).await.status.as_u16(), 202);
            if !at_once {
                read_new(&pool).await.unwrap();
            }
        }
        assert_eq!(read_new(&pool).await.unwrap().failed, 0);
    };
    // Without the runs that are told.
    let alone: Vec<usize> =
        (0..bodies.len()).filter(|index| *index == 0 || bodies[*index].0 != "workflow_run").collect();
    with_rule(&pool, true).await;
    send(alone.as_slice(), true).await;
    let expected = timeline(&pool).await;
    assert_eq!(expected.len() as i64, RELEASES + 1, "{expected:?}");

    let count = bodies.len();
    let forward: Vec<usize> = (0..count).collect();
    let backward: Vec<usize> = (0..count).rev().collect();
    let mixed: Vec<usize> = (0..count).map(|index| index * 7 % count).collect();
    assert_eq!(mixed.iter().collect::<std::collections::BTreeSet<_>>().len(), count, "each once");
    for (order, at_once) in [(&forward, false), (&backward, false), (&mixed, false), (&forward, true), (&mixed, true)] {
        emptied(&pool).await;
        send(order.as_slice(), at_once).await;
        assert_eq!(timeline(&pool).await, expected, "the rule first, {order:?}, {at_once}");
        assert_eq!(mapped(&pool).await, 0, "a second look finds nothing to do");
        let mut conn = pool.acquire().await.unwrap();
        event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
        read_new(&pool).await.unwrap();
        assert_eq!(timeline(&pool).await, expected, "read again, {order:?}, {at_once}");

        with_rule(&pool, false).await;
        emptied(&pool).await;
        send(order.as_slice(), at_once).await;
        assert_eq!(ids(&pool).await, ["1", "2", "3"]);
        with_rule(&pool, true).await;
        assert_eq!(timeline(&pool).await, expected, "the rule last, {order:?}, {at_once}");
    }
}

/// A run is a deployment until its sender tells of it, and once the sender does so no more.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_run_is_a_deployment_while_nobody_else_tells_of_it(pool: PgPool) {
    let github = Github::new(&pool).await;
    catalogue(&pool).await;
    with_rule(&pool, true).await;
    let of_run = format!("workflow_run/{}", begin(1) + 5_000);
    let [before, done] = deployed(1, begin(1));
    github.signed("workflow_run", "run", &run("Deploy", 1, begin(1))).await;
    read_new(&pool).await.unwrap();
    assert_eq!(ids(&pool).await, [of_run.as_str()]);
    github.signed("deployment_status", "before", &before).await;
    read_new(&pool).await.unwrap();
    assert_eq!(ids(&pool).await, ["1", of_run.as_str()], "so far it lies before the run");
    github.signed("deployment_status", "done", &done).await;
    read_new(&pool).await.unwrap();
    assert_eq!(ids(&pool).await, ["1"]);

    // Another commit, another service, and a day later are something else.
    github.signed("workflow_run", "other", &run("Deploy", 2, begin(1) + 1)).await;
    github.signed("workflow_run", "later", &run("Deploy", 1, begin(1) + 1_440)).await;
    let mut search = status(7, "7", begin(7), "success", begin(7) + 7);
    search["deployment"]["payload"]["service"] = json!("search");
    github.signed("deployment_status", "search", &search).await;
    github.signed("workflow_run", "checkout", &run("Deploy", 7, begin(7))).await;
    read_new(&pool).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE external_id LIKE 'workflow%'").await, 3);

    sqlx::query("UPDATE event_delivery SET body = 'not JSON' WHERE dedupe_key IN ('before', 'done')")
        .execute(&pool)
        .await
        .unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let unreadable: Vec<i64> =
        sqlx::query_scalar("SELECT event_delivery_id FROM event_delivery WHERE dedupe_key IN ('before', 'done')")
            .fetch_all(&pool)
            .await
            .unwrap();
    for event_delivery_id in unreadable {
        assert!(event_deliveries::read_again(&mut conn, event_delivery_id).await.unwrap());
    }
    assert_eq!(read_new(&pool).await.unwrap().failed, 2);
    let left = ids(&pool).await;
    assert!(left.contains(&of_run) && !left.contains(&"1".to_owned()), "{left:?}");
}

/// Before there is a rule: the list sets such pipelines apart, and the preview counts what is left out.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn pages_say_what_is_told_already(pool: PgPool) {
    let github = Github::new(&pool).await;
    catalogue(&pool).await;
    for (number, (event, body)) in bodies().iter().enumerate().skip(1) {
        github.signed(event, &number.to_string(), body).await;
    }
    let finance = github.app.browser(Role::Finance, false, &[]).await;
    github.signed("workflow_run", "nightly", &run("Nightly", 12, 10)).await;
    read_new(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let told = async |conn: &mut sqlx::PgConnection| {
        let list = unmapped::pipelines(conn, 500).await.unwrap();
        let row = |one: unmapped::UnmappedPipeline| (one.name.clone(), one.latest_count, one.told_count, one.is_told());
        list.into_iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut conn).await, [("Deploy".to_owned(), 3, 3, true), ("Nightly".to_owned(), 1, 0, false)]);
    let page = finance.get("/unmapped?show=pipelines").await.body;
    let (above, below) = page.split_once("Pipelines beside deployments that are told already").unwrap();
    assert!(above.contains("Nightly") && above.contains("value=Nightly"), "{above}");
    assert!(!page.contains("value=Deploy"), "no rule is to be made of it: {page}");
    assert!(below.contains("Deploy"), "{below}");

    // Of a deployment that tells its commits in a list, its version is no matter, as where a rule is asked.
    let mut changed = pool.begin().await.unwrap();
    for (statement, told_count) in [
        ("UPDATE pipeline_run SET facts = facts || '{\"version\":\"7\"}' WHERE name = 'Deploy'", 3),
        ("DELETE FROM deployment_commit", 3),
        ("UPDATE deployment SET sha = NULL, version = '8'", 0),
        ("UPDATE deployment SET version = '7'", 3),
        (
            "INSERT INTO deployment_commit (deployment_id, repo, sha)
             SELECT deployment_id, '', repeat('f', 40) FROM deployment",
            0,
        ),
        ("UPDATE pipeline_run SET sha = NULL", 3),
    ] {
        sqlx::query(statement).execute(&mut *changed).await.unwrap();
        let expected = ("Deploy".to_owned(), 3, told_count, told_count == 3);
        assert_eq!(told(&mut changed).await[0], expected, "{statement}");
    }
    changed.rollback().await.unwrap();

    let preview = "/rules/preview?applies_to=deployments&attribute=pipeline&operator=equals&value=Deploy\
                   &service=checkout&environment=production&place=last";
    let page = finance.get(preview).await.body;
    let nothing = "It would take nothing. 3 runs of pipelines are told as deployments by their sender already";
    assert!(page.contains(nothing) && page.contains("Their releases are on the timeline already."), "{page}");

    // One that is not told is a deployment, and the pipeline one like others.
    github.signed("workflow_run", "untold", &run("Deploy", UNTOLD, begin(UNTOLD))).await;
    read_new(&pool).await.unwrap();
    assert_eq!(told(&mut conn).await, [("Deploy".to_owned(), 4, 3, false), ("Nightly".to_owned(), 1, 0, false)]);
    let page = finance.get("/unmapped?show=pipelines").await.body;
    assert!(page.contains("3 of its latest 4 runs are told") && page.contains("value=Deploy"), "{page}");
    let page = finance.get(preview).await.body;
    assert!(page.contains("and 1 deployment. 3 runs of pipelines are told"), "{page}");
    assert_eq!(with_rule(&pool, true).await, 1, "as many as the preview says");
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, RELEASES + 1);
}
