//! What was stored is read whatever comes between: bad ones, outages, changed rules, any order.

use crate::senders::Doors;
use crate::support::{count, pools};
use crate::webhooks::{Github, deployment, minute, repository, status};
use costwake::events::Sender;
use costwake::rollup::events::{Reading, read_new};
use costwake::rollup::{mapper, remap, what_if};
use costwake::store::{Scope, event_deliveries, mapping_rules, unmapped};
use serde_json::{Value, json};
use sqlx::PgPool;

/// One that no index takes, and one that the schema refuses, are errors; those after them are read.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_bad_delivery_holds_up_no_other(pool: PgPool) {
    let github = Github::new(&pool).await;
    let mut long = deployment(1, "1", 0);
    long["deployment"]["id"] = json!("x".repeat(9_000));
    github.signed("deployment", "long", &long).await;
    github.signed("deployment", "after", &deployment(2, "1", 0)).await;
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 1, ignored: 0, failed: 1 });
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE error LIKE '%is longer than 200%'").await, 1);

    // What only the database notices: "index row requires 9024 bytes" is of class 54.
    sqlx::query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.version = 'bad' THEN RAISE EXCEPTION 'index row requires too much' USING ERRCODE = '54000'; END IF;
             RETURN NEW; END $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("CREATE TRIGGER refuse BEFORE UPDATE ON deployment FOR EACH ROW EXECUTE FUNCTION refuse()")
        .execute(&pool)
        .await
        .unwrap();
    github.signed("deployment", "bad", &deployment(3, "bad", 0)).await;
    github.signed("deployment", "good", &deployment(4, "good", 0)).await;
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 1, ignored: 0, failed: 1 });
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE state = 'new'").await, 0);
}

/// More than are read together, with bad ones among them: each is read or says why not, and none twice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn many_are_read_together_and_bad_ones_alone(pool: PgPool) {
    let github = Github::new(&pool).await;
    for number in 0..120 {
        let body = match number % 50 {
            7 => json!({"deployment": "not an object"}),
            8 => json!({"zen": "nothing of use"}),
            _ => deployment(number, "1", number),
        };
        let event_name = if number % 50 == 8 { "star" } else { "deployment" };
        github.signed(event_name, &number.to_string(), &body).await;
    }
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 114, ignored: 3, failed: 3 });
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 114);
    assert_eq!(
        count(&pool, "SELECT count(*) FROM event_delivery WHERE error IS NOT NULL AND state = 'error'").await,
        3
    );
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_status").await, 114);
}

/// All that a source ever told is read again, say: what has just come is among the first, and each is read once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_has_just_come_does_not_wait_behind_many(pool: PgPool) {
    let github = Github::new(&pool).await;
    for number in 0..120 {
        github.signed("deployment", &number.to_string(), &deployment(number, "1", number)).await;
    }
    let came: Vec<i64> =
        sqlx::query_scalar("SELECT event_delivery_id FROM event_delivery ORDER BY 1").fetch_all(&pool).await.unwrap();
    assert_eq!(read_new(&pool).await.unwrap().done, 120);
    let read: Vec<i64> =
        sqlx::query_scalar("SELECT event_delivery_id FROM deployment_status ORDER BY deployment_status_id")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(read, [&came[..50], &came[70..], &came[50..70]].concat());
}

/// What may pass is tried again, while others are read; after some tries it is an error.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_may_pass_is_put_off_and_given_up_at_last(pool: PgPool) {
    let github = Github::new(&pool).await;
    sqlx::query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.version = 'slow' THEN RAISE EXCEPTION 'lock not available' USING ERRCODE = '55P03'; END IF;
             RETURN NEW; END $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("CREATE TRIGGER refuse BEFORE UPDATE ON deployment FOR EACH ROW EXECUTE FUNCTION refuse()")
        .execute(&pool)
        .await
        .unwrap();
    github.signed("deployment", "slow", &deployment(1, "slow", 0)).await;
    github.signed("deployment", "good", &deployment(2, "good", 0)).await;
    for _ in 1..5 {
        assert!(read_new(&pool).await.unwrap_err().to_string().contains("lock not available"));
        assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE state = 'new'").await, 1);
        assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 1);
    }
    assert_eq!(read_new(&pool).await.unwrap(), Reading { failed: 1, ..Reading::default() });
    // Asked for by a person, it has all its tries again.
    sqlx::query("DROP TRIGGER refuse ON deployment").execute(&pool).await.unwrap();
    event_deliveries::read_all_again(&mut pool.acquire().await.unwrap(), None, None).await.unwrap();
    assert_eq!(read_new(&pool).await.unwrap().done, 2);
}

/// A rule that cannot be read is no delivery's fault.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_unreadable_rule_marks_no_delivery(pool: PgPool) {
    let github = Github::new(&pool).await;
    sqlx::query(
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_from_attribute, created_by)
         VALUES (1, 'deployments', '[{\"attribute\":\"repo\",\"operator\":\"sounds-like\",\"value\":\"x\"}]', 'repo', 'test')",
    )
    .execute(&pool)
    .await
    .unwrap();
    github.signed("deployment", "d", &deployment(1, "1", 0)).await;
    assert!(format!("{:#}", read_new(&pool).await.unwrap_err()).contains("reading mapping rule"));
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE state = 'new'").await, 1);
    sqlx::query("DELETE FROM mapping_rule WHERE position = 1").execute(&pool).await.unwrap();
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
}

/// The one that failed, and that GitHub calls inactive later, took nobody's place.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_failed_deployment_supersedes_nothing(pool: PgPool) {
    let github = Github::new(&pool).await;
    let stream = [
        status(1, "1", 0, "success", 4),
        status(2, "2", 10, "failure", 13),
        status(2, "2", 10, "inactive", 40),
        status(3, "3", 30, "success", 39),
    ];
    for (number, body) in stream.iter().enumerate() {
        github.signed("deployment_status", &number.to_string(), body).await;
    }
    read_new(&pool).await.unwrap();
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT version || ' ' || status, to_char(superseded_at, 'HH24:MI') FROM deployment ORDER BY version",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let superseded = |text: &str, at: Option<&str>| (text.to_owned(), at.map(str::to_owned));
    assert_eq!(
        rows,
        [superseded("1 succeeded", Some("10:39")), superseded("2 failed", None), superseded("3 succeeded", None)]
    );
}

fn release(action: &str, title: &str) -> Value {
    json!({"action": action, "repository": repository(), "release": {"id": 5, "tag_name": "v1", "name": title,
           "target_commitish": "main", "published_at": minute(0), "draft": false, "prerelease": false}})
}

fn run(id: i64, attempt: i64, name: &str, conclusion: &str, at: i64) -> Value {
    json!({"action": "completed", "repository": repository(), "workflow_run": {"id": id, "run_attempt": attempt,
           "status": "completed", "conclusion": conclusion, "name": name, "run_started_at": minute(at),
           "updated_at": minute(at + 3), "head_sha": "a".repeat(40), "head_branch": "main"}})
}

/// Releases carry no time of the action: how far along it is decides, not the order of arrival.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_ends_the_same_in_any_order(pool: PgPool) {
    let github = Github::new(&pool).await;
    let orders =
        [["created", "published", "deleted"], ["deleted", "published", "created"], ["published", "deleted", "edited"]];
    for (round, order) in orders.iter().enumerate() {
        sqlx::query("TRUNCATE release").execute(&pool).await.unwrap();
        for action in order {
            github.signed("release", &format!("{round} {action}"), &release(action, action)).await;
            read_new(&pool).await.unwrap();
        }
        let state: String = sqlx::query_scalar("SELECT state FROM release").fetch_one(&pool).await.unwrap();
        assert_eq!(state, "deleted", "{order:?}");
    }
    // Where the sender tells a time, it decides.
    sqlx::query("TRUNCATE release").execute(&pool).await.unwrap();
    for (action, at) in [("unpublished", 1), ("published", 5), ("created", 0), ("edited", 9)] {
        let mut body = release(action, action);
        body["release"]["updated_at"] = json!(minute(at));
        github.signed("release", &format!("timed {action}"), &body).await;
    }
    read_new(&pool).await.unwrap();
    let row: (String, String) = sqlx::query_as("SELECT state, title FROM release").fetch_one(&pool).await.unwrap();
    assert_eq!(row, ("published".to_owned(), "edited".to_owned()));
}

/// Of two ends of one run the later one holds, whichever came last.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_run_ends_the_same_in_any_order(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (round, order) in [[0, 1], [1, 0]].iter().enumerate() {
        sqlx::query("TRUNCATE pipeline_run").execute(&pool).await.unwrap();
        let bodies = [run(6, 1, "Deploy", "failure", 0), run(6, 1, "Deploy", "success", 5)];
        for index in order {
            github.signed("workflow_run", &format!("{round} {index}"), &bodies[*index]).await;
            read_new(&pool).await.unwrap();
        }
        let status: String = sqlx::query_scalar("SELECT status FROM pipeline_run").fetch_one(&pool).await.unwrap();
        assert_eq!(status, "succeeded", "{order:?}");
    }
}

/// A sender that tells the end alone leaves the start that it told before, or tells afterwards.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_start_that_is_known_outlives_an_end_without_one(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let sender = Sender::of("cdevents").unwrap();
    let told = |predicate: &str, at: i64| {
        json!({"context": {"id": format!("{predicate}{at}"), "source": "/ci", "timestamp": minute(at),
                "type": format!("dev.cdevents.pipelinerun.{predicate}.0.3.0")},
            "subject": {"id": "r1", "content": {"pipelineName": "build", "outcome": "success"}}})
    };
    let bodies = [told("queued", 0), told("started", 2), told("started", 5), told("finished", 9), told("finished", 8)];
    for order in [[0, 1, 2, 3, 4], [3, 4, 2, 1, 0], [1, 3, 0, 2, 4], [2, 4, 1, 3, 0], [4, 3, 0, 1, 2]] {
        crate::senders::emptied(&pool).await;
        for index in order {
            doors.send(sender, &[], bodies[index].to_string().as_bytes()).await;
            read_new(&pool).await.unwrap();
        }
        // Read again, it takes nothing away.
        sqlx::query("UPDATE event_delivery SET state = 'new' WHERE dedupe_key LIKE '%started2'")
            .execute(&pool)
            .await
            .unwrap();
        read_new(&pool).await.unwrap();
        let minutes = "SELECT (extract(epoch FROM finished_at - started_at) / 60)::bigint FROM pipeline_run
                       WHERE status = 'succeeded'";
        assert_eq!(count(&pool, minutes).await, 7, "{order:?}");
    }
}

/// A rule about a pipeline makes deployments of the runs that are stored; without it they are none again. The
/// preview says so before.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rule_about_a_pipeline_looks_back(pool: PgPool) {
    let github = Github::new(&pool).await;
    github.signed("workflow_run", "1", &run(6, 1, "Deploy", "failure", 0)).await;
    github.signed("workflow_run", "2", &run(6, 2, "Deploy", "success", 60)).await;
    github.signed("workflow_run", "3", &run(7, 1, "Test", "success", 60)).await;
    github.signed("deployment_status", "4", &status(1, "1", 0, "success", 4)).await;
    read_new(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let named = |list: Vec<unmapped::UnmappedPipeline>| {
        list.into_iter().map(|one| format!("{} {}", one.name, one.run_count)).collect::<Vec<_>>()
    };
    let listed = named(unmapped::pipelines(&mut conn, 500).await.unwrap());
    assert_eq!(listed, ["Deploy 1", "Test 1"], "two attempts are one run");

    let values = mapping_rules::RuleValues {
        applies_to: "deployments".into(),
        conditions: json!([{"attribute": "pipeline", "operator": "equals", "value": "Deploy"}]),
        service_id: Some(count(&pool, "SELECT service_id FROM service WHERE slug = 'checkout'").await),
        environment_id: Some(count(&pool, "SELECT environment_id FROM environment WHERE slug = 'production'").await),
        ..mapping_rules::RuleValues::default()
    };
    let preview = async |conn: &mut sqlx::PgConnection, with: bool| {
        let mut rules = mapper::rules_of(&mapping_rules::list(&mut *conn).await.unwrap()).unwrap();
        rules.retain(|rule| with || !rule.conditions.iter().any(|condition| condition.attribute == "pipeline"));
        if with {
            rules.push(mapper::rule_of(0, &values).unwrap());
        }
        let days = costwake::focus::DateRange::days_to("2026-03-31".parse().unwrap(), 30);
        let catalogue = mapper::catalogue_names(&mut *conn).await.unwrap();
        let question = what_if::Question {
            rules: &rules,
            catalogue,
            rule_id: Some(0),
            removed_service: None,
            recent: days,
            long: days,
        };
        what_if::ask(conn, &Scope::everything(), question).await.unwrap()
    };
    let answer = preview(&mut conn, true).await;
    assert_eq!((answer.taken.deployment_count, answer.deployment_moves.len()), (1, 1), "{answer:?}");

    let now = "2026-03-02T00:00:00Z".parse().unwrap();
    mapping_rules::insert(&mut conn, &values, mapping_rules::Place::Last, "test", now).await.unwrap();
    let report = remap::remap(&pools(&pool), "test", now).await.unwrap();
    assert_eq!(report.deployments_moved, 1);
    let row: (String, i32, i64) = sqlx::query_as(
        "SELECT status, attempts, (SELECT count(*) FROM deployment_service x WHERE x.deployment_id = d.deployment_id)
         FROM deployment d WHERE external_id = 'workflow_run/6'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(row, ("succeeded".to_owned(), 2, 1));
    assert_eq!(named(unmapped::pipelines(&mut conn, 500).await.unwrap()), ["Test 1"]);
    let again = remap::remap(&pools(&pool), "test", now).await.unwrap();
    assert_eq!((again.deployments_moved, again.publication_id), (0, None));

    let gone = preview(&mut conn, false).await;
    assert_eq!(gone.deployment_moves.iter().map(|one| one.count).sum::<i64>(), 1, "{gone:?}");
    sqlx::query("DELETE FROM mapping_rule WHERE conditions::text LIKE '%pipeline%'").execute(&pool).await.unwrap();
    assert_eq!(remap::remap(&pools(&pool), "test", now).await.unwrap().deployments_moved, 2, "re-mapped, then gone");
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 1, "GitHub's own deployment stays");
}

// What is known of deployments, and of each status what told it: without numbers that depend on the order of arrival.
const TOLD: &str = "SELECT jsonb_build_object(
        'deployment', to_jsonb(d) - 'deployment_id' - 'service_rule_id' - 'environment_rule_id',
        'told', (SELECT jsonb_agg(jsonb_build_array(t.status, t.status_raw, t.sequence, t.occurred_at, t.facts,
                     (SELECT jsonb_agg(e.dedupe_key ORDER BY e.dedupe_key) FROM event_delivery e
                      WHERE e.event_delivery_id = t.event_delivery_id
                         OR e.event_delivery_id IN (SELECT r.event_delivery_id FROM deployment_status_repeat r
                                                    WHERE r.deployment_status_id = t.deployment_status_id)))
                     ORDER BY t.occurred_at, t.status, t.status_raw)
                 FROM deployment_status t WHERE t.deployment_id = d.deployment_id))
    FROM deployment d";

async fn told(pool: &PgPool) -> Value {
    sqlx::query_scalar(TOLD).fetch_one(pool).await.unwrap()
}

// A rule makes the pipeline "Deploy" a deployment, or none does.
async fn with_rule(pool: &PgPool, is_there: bool) {
    let statement = if is_there {
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_id, environment_id, created_by)
         SELECT 1, 'deployments', '[{\"attribute\":\"pipeline\",\"operator\":\"equals\",\"value\":\"Deploy\"}]',
                service_id, environment_id, 'test' FROM service, environment WHERE service.slug = 'checkout'"
    } else {
        "DELETE FROM mapping_rule WHERE conditions::text LIKE '%Deploy%'"
    };
    sqlx::query(statement).execute(pool).await.unwrap();
    remap::remap(&pools(pool), "test", "2026-03-02T00:00:00Z".parse().unwrap()).await.unwrap();
}

/// A run that several deliveries told of, one of them twice, is the same deployment whether its rule came before them or
/// after, in every order of arrival: each of them told of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_later_rule_makes_the_same_deployment_as_an_earlier_one(pool: PgPool) {
    let github = Github::new(&pool).await;
    sqlx::query(
        "WITH s AS (INSERT INTO service (slug, name) VALUES ('checkout', 'checkout'))
         INSERT INTO environment (slug, name, kind) VALUES ('live', 'live', 'production')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let told_of = |status: &str, conclusion: Value, at: i64| {
        json!({"action": status, "repository": repository(), "workflow_run": {"id": 6, "run_attempt": 1,
               "status": status, "conclusion": conclusion, "name": "Deploy", "created_at": minute(0),
               "run_started_at": minute(at.min(1)), "updated_at": minute(at), "head_sha": "a".repeat(40),
               "head_branch": "main"}})
    };
    let bodies = [
        ("queued", told_of("queued", Value::Null, 0)),
        ("in progress", told_of("in_progress", Value::Null, 1)),
        ("completed", told_of("completed", json!("success"), 5)),
    ];
    let send = async |order: &[usize; 3]| {
        let told = order.iter().map(|index| (bodies[*index].0, &bodies[*index].1));
        for (id, body) in told.chain([("in progress again", &bodies[1].1)]) {
            assert_eq!(github.signed("workflow_run", id, body).await.status.as_u16(), 202);
            read_new(&pool).await.unwrap();
        }
    };
    let mut expected: Option<Value> = None;
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        crate::senders::emptied(&pool).await;
        with_rule(&pool, true).await;
        send(&order).await;
        let rule_first = told(&pool).await;
        crate::senders::emptied(&pool).await;
        with_rule(&pool, false).await;
        send(&order).await;
        assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 0);
        with_rule(&pool, true).await;
        assert_eq!(told(&pool).await, rule_first, "{order:?}");
        // A second look at the rules finds nothing to do, and one that went and came again ends the same.
        let again = remap::remap(&pools(&pool), "test", "2026-03-02T00:00:00Z".parse().unwrap()).await.unwrap();
        assert_eq!(again.deployments_moved, 0, "{order:?}");
        with_rule(&pool, false).await;
        assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 0);
        with_rule(&pool, true).await;
        assert_eq!(told(&pool).await, rule_first, "{order:?}");
        assert_eq!(*expected.get_or_insert_with(|| rule_first.clone()), rule_first, "{order:?}");
        with_rule(&pool, false).await;
    }
    let expected = expected.unwrap();
    assert_eq!(expected["told"].as_array().unwrap().len(), 4, "three starts and an end: {expected}");
    assert_eq!(expected["deployment"]["status"], json!("succeeded"));
}

/// How fast they come shows by two of them: the last, and the one so many before it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn since_when_the_last_came_is_told_by_their_numbers(pool: PgPool) {
    let github = Github::new(&pool).await;
    for number in 0..4 {
        github.signed("deployment", &number.to_string(), &deployment(number, "1", number)).await;
    }
    let mut conn = pool.acquire().await.unwrap();
    for (number, minutes) in [("0", 90), ("1", 30)] {
        sqlx::query("UPDATE event_delivery SET received_at = now() - make_interval(mins => $2) WHERE dedupe_key = $1")
            .bind(number)
            .bind(minutes)
            .execute(&mut *conn)
            .await
            .unwrap();
    }
    let mut minutes = Vec::new();
    for count in 1..=4 {
        let since = event_deliveries::last_came_since(&mut conn, count).await.unwrap();
        minutes.push(since.map(|since| since.num_minutes()));
    }
    assert_eq!(minutes, [Some(0), Some(30), Some(90), None]);
}
