//! How far reads go back, how much of a limit they leave, and what they ask for although it did not change.

use super::fake::{FakeApi, TOKEN};
use super::{Place, at, day, finished, github, repository, row, status};
use crate::support::count;
use axum::http::StatusCode;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

/// The first read goes back 30 days, whichever way a list is bounded: by what it is asked for, or by where reading
/// ends.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_first_read_goes_back_thirty_days(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = FakeApi::start().await;
    let (young, old) = (Utc::now() - Duration::days(29), Utc::now() - Duration::days(31));
    api.put("/repos/acme/shop", repository());
    api.put("/repos/acme/shop/deployments", json!([row(2, young, young), row(1, old, old)]));
    for (id, made) in [(1, old), (2, young)] {
        api.put(&format!("/repos/acme/shop/deployments/{id}/statuses"), json!([status(id * 10, "success", made)]));
    }
    let pull = |number: i64, merged: DateTime<Utc>| {
        json!({ "number": number, "title": "Faster", "merged_at": at(merged), "closed_at": at(merged),
            "updated_at": at(merged), "merge_commit_sha": format!("{number:040x}"), "user": {"login": "ann"},
            "base": {"ref": "main"} })
    };
    api.put("/repos/acme/shop/pulls", json!([pull(5, young), pull(4, old)]));
    let commit = |digit: &str, made: DateTime<Utc>| {
        json!({ "sha": digit.repeat(40), "html_url": "https://github.com/acme/shop/commit/1",
            "author": {"login": "ann"}, "commit": {"message": "Faster", "author": {"name": "Ann"}, "committer": {"date": at(made)}} })
    };
    api.put("/repos/acme/shop/commits", json!([commit("b", young), commit("a", old)]));
    place.set_up(&api, "acme/shop", TOKEN).await;
    place.read().await;
    assert_eq!(place.deployments().await, [finished(2, "succeeded", young)], "{}", place.last("error").await);
    assert_eq!(changes(&pool).await, ["acme/shop#5".to_owned(), "b".repeat(40)]);
}

/// GitLab's lists are asked for what changed since.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_first_read_of_gitlab_goes_back_thirty_days(pool: PgPool) {
    let place = Place::new(&pool, "gitlab").await;
    let api = FakeApi::start().await;
    let (young, old) = (Utc::now() - Duration::days(29), Utc::now() - Duration::days(31));
    let project = "/projects/acme%2Fshop";
    api.put(
        project,
        json!({ "path_with_namespace": "acme/shop", "default_branch": "main",
        "web_url": "https://gitlab.com/acme/shop" }),
    );
    let request = |number: i64, merged: DateTime<Utc>| {
        json!({ "iid": number, "state": "merged", "title": "Faster", "sha": format!("{number:040x}"),
            "merge_commit_sha": format!("{number:040x}"), "merged_at": at(merged), "updated_at": at(merged),
            "author": {"username": "ann"}, "target_branch": "main" })
    };
    let deployment = |id: i64, ended: DateTime<Utc>| {
        json!({ "id": id, "iid": id, "status": "success", "ref": "main", "sha": format!("{id:040x}"),
            "created_at": at(ended), "updated_at": at(ended), "user": {"username": "ann"},
            "environment": {"name": "production", "tier": "production"},
            "deployable": {"name": "deploy", "stage": "deploy", "finished_at": at(ended)} })
    };
    let commit = |digit: &str, made: DateTime<Utc>| {
        json!({ "id": digit.repeat(40), "message": "Faster", "committed_date": at(made), "author_name": "Ann",
            "web_url": "https://gitlab.com/acme/shop/-/commit/1" })
    };
    for (list, rows) in [
        ("merge_requests", json!([request(4, old), request(5, young)])),
        ("deployments", json!([deployment(1, old), deployment(2, young)])),
        ("repository/commits", json!([commit("b", young), commit("a", old)])),
        ("environments", json!([])),
    ] {
        api.put(&format!("{project}/{list}"), rows);
    }
    place.set_up(&api, "acme/shop", TOKEN).await;
    place.read().await;
    assert_eq!(place.last("error").await, "null");
    assert_eq!(place.deployments().await, [finished(2, "succeeded", young)]);
    assert_eq!(changes(&pool).await, ["acme/shop!5".to_owned(), "b".repeat(40)]);
    assert_eq!((place.last("change_count").await, place.last("commit_count").await), ("1".into(), "1".into()));
}

/// Bitbucket's lists go from new to old, and end with the first row that is too old: nothing behind it is asked for.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_first_read_of_bitbucket_goes_back_thirty_days(pool: PgPool) {
    let place = Place::new(&pool, "bitbucket").await;
    let api = FakeApi::start().await;
    let (young, old) = (Utc::now() - Duration::days(29), Utc::now() - Duration::days(31));
    let path = "/repositories/acme/shop";
    api.put(path, json!({ "full_name": "acme/shop", "mainbranch": {"name": "main"} }));
    let deployment = |id: i64, begun: DateTime<Utc>| {
        json!({ "type": "deployment", "uuid": format!("{{{id}}}"),
            "environment": {"name": "Production", "environment_type": {"name": "Production"}},
            "release": {"name": "#12", "commit": {"hash": format!("{id:040x}")}, "created_on": at(begun)},
            "state": {"name": "COMPLETED", "status": {"name": "SUCCESSFUL"}, "started_on": at(begun),
                "completed_on": at(begun)} })
    };
    let request = |number: i64, merged: DateTime<Utc>| {
        json!({ "id": number, "state": "MERGED", "title": "Faster", "updated_on": at(merged), "created_on": at(merged),
            "merge_commit": {"hash": format!("{number:012x}")}, "destination": {"branch": {"name": "main"}},
            "author": {"nickname": "ann"} })
    };
    let commit = |digit: &str, made: DateTime<Utc>| {
        json!({ "hash": digit.repeat(40), "date": at(made), "message": "Faster",
            "author": {"user": {"nickname": "ann"}} })
    };
    for (list, rows) in [
        ("deployments/", json!([deployment(2, young), deployment(1, old)])),
        ("pullrequests", json!([request(5, young), request(4, old)])),
        ("commits/main", json!([commit("b", young), commit("a", old)])),
    ] {
        let next = format!("{}{path}/older", api.address);
        api.put(&format!("{path}/{list}"), json!({ "values": rows, "pagelen": 100, "next": next }));
    }
    place.set_up(&api, "acme/shop", TOKEN).await;
    place.read().await;
    assert_eq!(place.last("error").await, "null");
    let expected = format!("{{2}} succeeded {}", young.format("%d %H:%M"));
    assert_eq!(place.deployments().await, [expected]);
    assert_eq!(changes(&pool).await, ["acme/shop#5".to_owned(), "b".repeat(40)]);
    let asked = api.taken();
    assert!(!asked.iter().any(|(path, ..)| path.contains("older")), "{asked:?}");
}

// The ids of all that was merged and pushed.
async fn changes(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT external_id FROM change ORDER BY 1").fetch_all(pool).await.unwrap()
}

/// A tenth of the limit is left to others who use the token, 50 requests at most.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_reserve_of_the_limit_is_left(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = github(&place).await;
    place.set_up(&api, "acme/shop", TOKEN).await;
    let resets_at = (Utc::now() + Duration::minutes(20)).timestamp();
    for (all, remaining, left) in [(100, 14, 10), (5000, 54, 50)] {
        api.limit_of(all, remaining, resets_at);
        place.read().await;
        assert_eq!(api.taken().len(), 4, "of {all}");
        let words = format!("only {left} requests are left");
        assert!(place.last("error").await.contains(&words), "{}", place.last("error").await);
    }
    api.lift_limit();
    place.read().await;
    assert_eq!(place.last("error").await, "null");
}

/// A deployment that has not ended is asked for again, with the mark of its last answer, until it has.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_open_deployment_is_asked_for_with_its_mark(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let (api, made, minute) = (FakeApi::start().await, day(), Duration::minutes(1));
    api.put("/repos/acme/shop", repository());
    for list in ["deployments", "pulls", "commits"] {
        api.put(&format!("/repos/acme/shop/{list}"), json!([]));
    }
    let answers = |changed: DateTime<Utc>, statuses: Value| {
        api.put("/repos/acme/shop/deployments/9", row(9, made, changed));
        api.put("/repos/acme/shop/deployments/9/statuses", statuses);
    };
    let begun = status(90, "in_progress", made + minute);
    answers(made + minute, json!([begun]));
    let body = json!({ "deployment": row(9, made, made), "deployment_status": begun, "repository": repository() });
    place.webhook("deployment_status", &body).await;
    place.set_up(&api, "acme/shop", TOKEN).await;
    for _ in 0..2 {
        place.read().await;
    }
    api.taken();
    place.read().await;
    let asked = api.taken();
    assert!(asked.iter().any(|(path, ..)| path.ends_with("/deployments/9")), "{asked:?}");
    assert!(asked.iter().all(|(_, mark, status)| mark.is_some() && *status == 304), "{asked:?}");
    answers(made + minute * 5, json!([status(91, "success", made + minute * 5), begun]));
    place.read().await;
    let ended = finished(9, "succeeded", made + minute * 5);
    assert_eq!(place.deployments().await, [ended], "{}", place.last("error").await);
}

/// A preview that GitHub made inactive is over: no webhook says so, and its deployment is older than any list is read. It
/// is asked for until it is over, and no longer.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_is_asked_for_until_it_is_over(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let (api, made, minute) = (FakeApi::start().await, day() - Duration::days(40), Duration::minutes(1));
    api.put("/repos/acme/shop", repository());
    for list in ["deployments", "pulls", "commits"] {
        api.put(&format!("/repos/acme/shop/{list}"), json!([]));
    }
    let preview = |changed: DateTime<Utc>| {
        let mut preview = row(9, made, changed);
        preview["environment"] = json!("pr-9");
        preview
    };
    let answers = |changed: DateTime<Utc>, statuses: Value| {
        api.put("/repos/acme/shop/deployments/9", preview(changed));
        api.put("/repos/acme/shop/deployments/9/statuses", statuses);
    };
    let live = status(90, "success", made + minute);
    answers(made + minute, json!([live]));
    let body = json!({ "deployment": preview(made), "deployment_status": live, "repository": repository() });
    place.webhook("deployment_status", &body).await;
    sqlx::query("UPDATE environment SET kind = 'preview'").execute(&pool).await.unwrap();
    place.set_up(&api, "acme/shop", TOKEN).await;
    let asked = || -> Vec<u16> {
        let all = api.taken();
        all.iter().filter(|(path, ..)| path.ends_with("/deployments/9")).map(|(_, _, status)| *status).collect()
    };
    for expected in [200, 304] {
        place.read().await;
        assert_eq!(asked(), [expected], "{}", place.last("error").await);
    }
    let ended = "SELECT count(*) FROM environment_end WHERE is_told";
    assert_eq!(count(&pool, ended).await, 0);
    answers(day(), json!([status(91, "inactive", day()), live]));
    place.read().await;
    assert_eq!((asked(), count(&pool, ended).await), (vec![200], 1), "{}", place.last("error").await);
    place.read().await;
    assert!(asked().is_empty());
    // One that was deleted over there is asked for once more, and never again.
    let mut deleted = row(8, made, made + minute);
    deleted["environment"] = json!("pr-8");
    let live = status(80, "success", made + minute);
    let body = json!({ "deployment": deleted, "deployment_status": live, "repository": repository() });
    place.webhook("deployment_status", &body).await;
    sqlx::query("UPDATE environment SET kind = 'preview'").execute(&pool).await.unwrap();
    api.refuse("/repos/acme/shop/deployments/8", StatusCode::NOT_FOUND);
    for expected in [1, 0] {
        place.read().await;
        let asked = api.taken().iter().filter(|(path, ..)| path.ends_with("/deployments/8")).count();
        assert_eq!(asked, expected, "{}", place.last("error").await);
    }
}

/// Of many deployments that have not ended, it is told that some were not asked for again, until there are fewer.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn open_deployments_that_are_not_asked_for_are_told(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let (api, made) = (FakeApi::start().await, day());
    api.put("/repos/acme/shop", repository());
    for list in ["pulls", "commits"] {
        api.put(&format!("/repos/acme/shop/{list}"), json!([]));
    }
    let rows: Vec<Value> = (1..=201).map(|id| row(id, made, made)).collect();
    api.put("/repos/acme/shop/deployments", json!(rows));
    for id in 1..=201 {
        api.put(&format!("/repos/acme/shop/deployments/{id}/statuses"), json!([]));
    }
    place.set_up(&api, "acme/shop", TOKEN).await;
    // Over there they were deleted: each is asked for once.
    for (expected, problem) in [(0, ""), (200, "only the newest 200 were asked for again"), (1, ""), (0, "")] {
        place.read().await;
        let is_one = |path: &str| path.rsplit('/').next().is_some_and(|id| id.parse::<u32>().is_ok());
        let asked = api.taken().iter().filter(|(path, ..)| is_one(path)).count();
        assert_eq!(asked, expected, "{}", place.last("error").await);
        let told: Option<String> =
            sqlx::query_scalar("SELECT last_error FROM event_read_repository").fetch_one(&pool).await.unwrap();
        let told = told.unwrap_or_default();
        assert!(told.is_empty() == problem.is_empty() && told.contains(problem), "{told}");
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 201);
}
