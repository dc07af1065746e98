//! Delivery metrics on the pages of a service and its team, in their files and in the API, from deployments as they are sent.

use super::{ingest, shop};
use crate::support::TestApp;
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const DAYS: &str = "period=2026-10-29..2026-10-31";

/// Its number.
async fn deploy(app: &TestApp, token: &str, version: &str, at: &str, sha: &str) -> i64 {
    let body = json!({ "service": "shop", "environment": "production", "version": version, "started_at": at,
        "finished_at": at, "commits": [{ "repo": "acme/shop", "sha": sha }] });
    let made = app.api("POST", "/api/v1/deployments", token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.json()["deployment_id"].as_i64().unwrap()
}

/// Three changes, of which the second is taken back after 90 minutes, and of the third no commit is known. Their numbers.
async fn delivered(pool: &PgPool, app: &TestApp) -> [i64; 3] {
    let token = ingest(app).await;
    sqlx::query(
        "INSERT INTO change (repo, external_id, sha, state, happened_at) VALUES
             ('acme/shop', '1', 'aaaaaaaa01', 'merged', '2026-10-29T08:00:00Z'),
             ('acme/shop', '2', 'aaaaaaaa02', 'merged', '2026-10-30T08:00:00Z')",
    )
    .execute(pool)
    .await
    .unwrap();
    let first = deploy(app, &token, "1", "2026-10-29T10:00:00Z", "aaaaaaaa01").await;
    let second = deploy(app, &token, "2", "2026-10-30T12:00:00Z", "aaaaaaaa02").await;
    deploy(app, &token, "1", "2026-10-30T13:30:00Z", "aaaaaaaa01").await;
    [first, second, deploy(app, &token, "3", "2026-10-31T12:00:00Z", "aaaaaaaa03").await]
}

/// A team of this name, which has the service or none.
async fn team(pool: &PgPool, slug: &str, service: &str) -> i64 {
    let team_id: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ($1, $1) RETURNING team_id")
        .bind(slug)
        .fetch_one(pool)
        .await
        .unwrap();
    let owned = sqlx::query("UPDATE service SET team_id = $1 WHERE slug = $2").bind(team_id).bind(service);
    owned.execute(pool).await.unwrap();
    team_id
}

/// Three changes, one of which is taken back after 90 minutes: the figures, their definitions, and what lacks.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_four_figures_stand_beside_cost(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let url = "/services/shop?period=2026-10-29..2026-10-31";
    assert!(app.get(url).await.body.contains("No change went live in production in these days"));
    delivered(&pool, &app).await;
    let page = app.get(url).await;
    for part in [
        "3, 7.0 a week",
        "3 h",
        "One change is left out: no repository told of its commit",
        "33.3%, 1 of 3",
        "1 h 30 min",
        "Changes that were rolled back or reverted, that an incident",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    // An incident that began an hour after the third change and took half an hour: it failed too.
    sqlx::query(
        "WITH o AS (INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at, ended_at,
                        time_is_received)
                    SELECT min(event_source_id), 'i', 'incident', 'resolved', 'Orders fail', '2026-10-31T13:00:00Z'::timestamptz,
                        '2026-10-31T13:30:00Z'::timestamptz, false FROM event_source RETURNING operational_event_id, started_at)
         INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT operational_event_id, service_id, started_at FROM o, service WHERE slug = 'shop'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let page = app.get(url).await;
    // Of 90 and 30 minutes the middle.
    for part in ["66.7%, 2 of 3", "1 h</td>"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    sqlx::query("UPDATE operational_event SET ended_at = NULL").execute(&pool).await.unwrap();
    assert!(app.get(url).await.body.contains("One failure is not over yet and left out."));
    team(&pool, "web", "shop").await;
    let body = json!({ "points": [{ "service": "shop", "time": "2026-10-29", "value": 6000 }] });
    super::send(&app, &token, "requests", body).await;
    let page = app.get("/teams/web?period=2026-10-29..2026-10-31").await;
    for part in ["Speed and unit cost by service", "3, 7.0 a week", "$5.00", "per 1,000 requests"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

/// What the page shows, a program has with its unit, its counts and its definition; where nothing is known there is no zero.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_api_and_the_file_tell_what_the_page_shows(pool: PgPool) {
    let app = shop(&pool).await;
    delivered(&pool, &app).await;
    team(&pool, "web", "shop").await;
    let read = app.token(TokenScope::Read, Role::Viewer).await;
    let asked = async |query: &str| {
        let answer = app.api("GET", &format!("/api/v1/delivery?{query}"), &read, Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()
    };
    let told = asked(&format!("service=shop&{DAYS}")).await;
    let page = app.get(&format!("/services/shop?{DAYS}")).await.body;
    let csv = app.get(&format!("/services/shop/delivery.csv?{DAYS}")).await.body;
    let lines = |csv: &str| -> Vec<Vec<String>> {
        csv::Reader::from_reader(csv.as_bytes())
            .records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect()
    };
    let lines_of_service = lines(&csv);
    assert_eq!(lines_of_service.len(), 8, "{csv}");
    let expected = [
        ("deployment_frequency", "7", "changes a week", 3, 3, "3, 7.0 a week", "none"),
        ("lead_time_for_changes", "10800", "seconds", 2, 3, "3 h", "not known"),
        ("change_failure_rate", "0.333333", "share of changes", 1, 3, "33.3%, 1 of 3", "no change"),
        ("time_to_restore", "5400", "seconds", 1, 1, "1 h 30 min", "no failure"),
    ];
    for (number, (metric, value, unit, count, count_of, shown, shown_before)) in expected.into_iter().enumerate() {
        let one = &told["metrics"][number];
        assert_eq!((&one["metric"], &one["unit"]), (&json!(metric), &json!(unit)), "{told}");
        let now = json!({"value": value, "count": count, "count_of": count_of, "shown": shown});
        assert_eq!(one["now"], now, "{told}");
        let before = json!({"value": null, "count": null, "count_of": null, "shown": shown_before});
        assert_eq!(one["before"], before, "{told}");
        let (name, definition) = (one["name"].as_str().unwrap(), one["definition"].as_str().unwrap());
        let row = page.split(&format!("<th scope=\"row\">{name}<")).nth(1).unwrap().split("</tr>").next().unwrap();
        for part in [definition, &format!(">{shown}</td>"), &format!(">{shown_before}</td>")] {
            assert!(row.contains(part), "{part}: {row}");
        }
        let (count, count_of) = (count.to_string(), count_of.to_string());
        let line = [name, "now", "2026-10-29", "2026-10-31", value, unit, &count, &count_of, shown, definition];
        assert_eq!(lines_of_service[2 * number], line, "{csv}");
        let line = [name, "before", "2026-10-26", "2026-10-28", "", unit, "", "", shown_before, definition];
        assert_eq!(lines_of_service[2 * number + 1], line, "{csv}");
    }
    let now = json!({"first_day": "2026-10-29", "last_day": "2026-10-31", "day_count": 3, "change_count": 3,
        "lead_count": 2, "failure_count": 1, "open_count": 0, "unknown_end_count": 0});
    assert_eq!(told["now"], now);
    let before = json!({"first_day": "2026-10-26", "last_day": "2026-10-28", "day_count": 3, "change_count": 0,
        "lead_count": null, "failure_count": null, "open_count": null, "unknown_end_count": null});
    assert_eq!(told["before"], before);
    assert_eq!((&told["service"], &told["team"], &told["notes"]), (&json!("shop"), &Value::Null, &json!([])));
    for form in ["csv", "xlsx", "json"] {
        let href = format!("href=\"/services/shop/delivery.{form}?{DAYS}\"");
        assert!(page.contains(&href), "{href}: {page}");
    }

    let of_team = asked(&format!("team=web&{DAYS}")).await;
    assert_eq!((&of_team["team"], &of_team["metrics"]), (&json!("web"), &told["metrics"]));
    let page = app.get(&format!("/teams/web?{DAYS}")).await.body;
    assert!(page.contains(&format!("href=\"/teams/web/delivery.csv?{DAYS}\"")), "{page}");
    let csv = app.get(&format!("/teams/web/delivery.csv?{DAYS}")).await.body;
    assert_eq!(lines(&csv), lines_of_service);

    let later = asked("service=shop&period=2027-01").await;
    assert_eq!((&later["now"], &later["metrics"]), (&Value::Null, &json!([])));
    assert_eq!(later["notes"], json!(["These days are still to come."]));
}

/// Files and the API are the team's own; what is asked wrongly is said.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn delivery_is_told_to_its_team_and_what_is_wrong_is_named(pool: PgPool) {
    let app = shop(&pool).await;
    delivered(&pool, &app).await;
    let own = team(&pool, "web", "shop").await;
    let other = team(&pool, "infra", "search").await;
    for (team_id, status) in [(own, StatusCode::OK), (other, StatusCode::FORBIDDEN)] {
        let person = app.person(Role::Member, false, &[team_id]).await;
        let token = app.token_of(person, TokenScope::Read).await;
        let browser = app.browser_of(person).await;
        for whose in ["service=shop", "team=web"] {
            let path = format!("/api/v1/delivery?{whose}&{DAYS}");
            assert_eq!(app.api("GET", &path, &token, Value::Null).await.status, status, "{whose}");
        }
        for page in ["/services/shop", "/teams/web"] {
            assert_eq!(browser.get(&format!("{page}/delivery.csv?{DAYS}")).await.status, status, "{page}");
            let leads = browser.get(&format!("{page}?{DAYS}")).await.body.contains("/delivery.csv");
            assert_eq!(leads, status == StatusCode::OK, "{page}");
        }
    }
    let read = app.token(TokenScope::Read, Role::Finance).await;
    for (query, status, sentence) in [
        ("service=nothing", StatusCode::NOT_FOUND, "There is no such thing here"),
        ("team=nothing", StatusCode::NOT_FOUND, "There is no such thing here"),
        ("service=shop&period=soon", StatusCode::BAD_REQUEST, "period=soon is not known. Allowed: 30d, 60d"),
        ("service=shop&vs=later", StatusCode::BAD_REQUEST, "vs=later is not known. Allowed: prev, py."),
        ("", StatusCode::BAD_REQUEST, "Say whose: service=SLUG or team=SLUG."),
        ("service=shop&team=web", StatusCode::BAD_REQUEST, "Ask for a service or for a team, not for both."),
    ] {
        let refused = app.api("GET", &format!("/api/v1/delivery?{query}"), &read, Value::Null).await;
        assert_eq!(refused.status, status, "{query}: {}", refused.body);
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(sentence), "{query}: {error}");
    }
    assert_eq!(app.get("/services/nothing/delivery.csv").await.status, StatusCode::NOT_FOUND);
    let ingest = ingest(&app).await;
    let refused = app.api("GET", "/api/v1/delivery?service=shop", &ingest, Value::Null).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a token for sending reads nothing");
}

/// A deployment tells by API whether it failed as a change, by the evidence of its page; what did not go live tells nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_tells_whether_it_is_a_failed_change(pool: PgPool) {
    let app = shop(&pool).await;
    let [first, second, third] = delivered(&pool, &app).await;
    let read = app.token(TokenScope::Read, Role::Viewer).await;
    let show = async |id: i64| {
        app.api("GET", &format!("/api/v1/deployments/{id}"), &read, Value::Null).await.json()["change_failure"].clone()
    };
    assert_eq!(show(first).await, json!({"failed": false, "evidence": []}));
    let failed = show(second).await;
    let evidence = &failed["evidence"][0];
    assert_eq!((&failed["failed"], &evidence["reason"]), (&json!(true), &json!("rollback")), "{failed}");
    assert_eq!((&evidence["version"], &evidence["at"]), (&json!("1"), &json!("2026-10-30T13:30:00Z")), "{failed}");
    assert!(evidence["deployment_id"].as_i64().is_some_and(|id| id != second && id != first), "{failed}");
    let page = app.get(&format!("/deployments/{second}")).await.body;
    let sentence = evidence["sentence"].as_str().unwrap();
    assert_eq!(sentence, "Rolled back to 1");
    assert!(page.contains("It counts as a failed change") && page.contains(sentence), "{page}");

    assert_eq!(show(third).await["failed"], false);
    let marked = app.post_form(&format!("/deployments/{third}/failure"), &[("note", "Carts were lost")]).await;
    assert_eq!(marked.status, StatusCode::SEE_OTHER, "{}", marked.body);
    let failed = show(third).await;
    let evidence = &failed["evidence"][0];
    assert_eq!((&failed["failed"], &evidence["reason"]), (&json!(true), &json!("marked")), "{failed}");
    assert_eq!(evidence["note"], "Carts were lost");
    assert!(evidence["marked_by"].is_string(), "{failed}");

    let begun = json!({"service": "shop", "environment": "production", "version": "4", "status": "in_progress",
        "started_at": "2026-11-01T10:00:00Z"});
    let begun = app.api("POST", "/api/v1/deployments", &ingest(&app).await, begun).await;
    assert_eq!(begun.json().get("change_failure"), None, "{}", begun.body);
    let id = begun.json()["deployment_id"].as_i64().unwrap();
    assert_eq!(show(id).await, json!({"failed": null, "evidence": []}));
}
