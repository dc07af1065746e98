//! The page of one operational event, and pins: they hold through rules and replays, move the event at once, and are
//! written down.

use crate::finance::column;
use crate::ledger::{Line, bill, import_as_of};
use crate::senders::{Doors, Given, deliver};
use crate::support::count;
use axum::http::StatusCode;
use costwake::events::Headers;
use costwake::rollup::events::read_new;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, event_deliveries};
use serde_json::{Value, json};
use sqlx::PgPool;

const ID: &str = "SELECT min(operational_event_id) FROM operational_event";

fn marker() -> Value {
    json!({"id": "m1", "message": "Load test <b>now</b>", "type": "load-test", "start_time": 1_772_359_200,
        "end_time": 1_772_359_800, "service": "checkout", "environment": "production",
        "url": "https://ui.honeycomb.example/m1"})
}

async fn tell(pool: &PgPool, sender: &str, body: &Value) {
    let body = body.to_string();
    let received_at = "2026-03-01T12:00:00Z".parse().unwrap();
    let given = Given { headers: Headers::default(), body: body.clone().into_bytes(), received_at };
    deliver(pool, sender, &body, &given).await;
    assert_eq!(read_new(pool).await.unwrap().failed, 0);
}

// A marker of checkout in production, beside a service and an environment that it may be pinned to.
async fn world(pool: &PgPool) -> (Doors, String) {
    let doors = Doors::new(pool).await;
    for statement in [
        "INSERT INTO service (slug, name) VALUES ('checkout', 'checkout'), ('search', 'Search')",
        "INSERT INTO environment (slug, name, kind)
         VALUES ('production', 'production', 'production'), ('staging', 'Staging', 'staging')",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    tell(pool, "honeycomb", &marker()).await;
    let path = format!("/events/{}", count(pool, ID).await);
    (doors, path)
}

// `checkout in production`, of all events.
async fn places(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' in ', (SELECT string_agg(v.slug, ' and ' ORDER BY v.slug)
                                   FROM operational_event_service os JOIN service v USING (service_id)
                                   WHERE os.operational_event_id = o.operational_event_id), e.slug)
         FROM operational_event o LEFT JOIN environment e USING (environment_id) ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// A rule that placed nothing but events is not one that took nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rules_say_how_many_events_they_placed(pool: PgPool) {
    let (doors, _) = world(&pool).await;
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let counts = column(&finance.get("/rules.csv").await.body, "OperationalEvents");
    assert!(counts.iter().any(|count| count == "1") && counts.iter().any(|count| count == "0"), "{counts:?}");
    let page = finance.get("/rules").await.body;
    assert!(page.contains("<th scope=\"col\" class=\"n\">Events</th>"), "{page}");
    assert!(
        page.contains("data-label=\"Deployments\">0</td><td class=\"n\" data-label=\"Events\">1</td>"),
        "no deployment, one event: {page}"
    );
}

/// The page says what it was, when, by whom and by which rule; a pin moves it on pages at once, and the rules have it back
/// once it is let go.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_event_shows_its_rule_and_is_pinned_elsewhere(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let page = finance.get(&path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    for text in [
        "Load test &#60;b&#62;now",
        "It belongs to checkout in production. It went on from 1 Mar 2026 10:00 UTC to 1 Mar 2026 10:10 UTC, 10 min.",
        "told by <a href=\"https://ui.honeycomb.example/m1\" rel=\"noopener noreferrer\">honeycomb</a>",
        // By the tag of that name, which its sender's field is.
        "Service by “<a href=\"/rules/",
        "What names its environment belongs to it.",
        "Pin this match",
        "<option value=\"checkout\" selected>checkout</option>",
        "<option value=\"search\">Search</option>",
        "<option value=\"staging\">Staging</option>",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    assert!(!page.body.contains("Make a rule"), "one placed it: {}", page.body);
    let pinned = finance.post_form(&format!("{path}/pin"), &[("service", "search"), ("environment", "staging")]).await;
    assert_eq!((pinned.status, pinned.location()), (StatusCode::SEE_OTHER, format!("{path}#h-match").as_str()));
    assert_eq!(places(&pool).await, ["search in staging"]);
    let page = finance.get(&path).await.body;
    for text in
        ["It belongs to Search in Staging.", "Pinned by person-", "No rule decided this.", "Let rules decide again"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    let listed = finance.get("/events?service=search").await.body;
    assert!(listed.contains(&format!("href=\"{path}\"")) && listed.contains("Pinned by person-"), "{listed}");
    assert!(finance.get("/events?service=checkout").await.body.contains("No operational event of checkout."));
    assert!(finance.get("/events.csv").await.body.contains("Pinned by person-"));
    assert_eq!(finance.post_form(&format!("{path}/unpin"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(places(&pool).await, ["checkout in production"]);
    // As it is: the rules that placed it are still told.
    assert_eq!(finance.post_form(&format!("{path}/pin"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(places(&pool).await, ["checkout in production"]);
    let page = finance.get(&path).await.body;
    assert!(page.contains("Pinned by") && page.contains("Service by “<a href=\"/rules/"), "{page}");
    let audited: Vec<(String, Value)> = sqlx::query_as(
        "SELECT action || ' ' || subject, details FROM audit_log WHERE action LIKE 'event.%pinned' ORDER BY audit_log_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let subject = path.replace("/events/", "event ");
    assert_eq!(
        audited,
        [
            (format!("event.pinned {subject}"), json!({"services": ["search"], "environment": "staging"})),
            (format!("event.unpinned {subject}"), json!({})),
            (format!("event.pinned {subject}"), json!({"services": ["checkout"], "environment": "production"})),
        ]
    );
}

/// Lists of what else happened lead to the page, and from there to the sender's.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn pages_lead_to_the_event(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-03", 1, "checkout", "1")]), 2).await;
    let token = doors.app.token(TokenScope::Ingest, Role::Finance).await;
    let body = json!({"id": "1", "service": "checkout", "environment": "production", "version": "1",
        "finished_at": "2026-03-01T09:00:00Z"});
    let made = doors.app.api("POST", "/api/v1/deployments", &token, body).await;
    let deployment = format!("/deployments/{}", made.json()["deployment_id"]);
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let query = "?period=2026-02-20..2026-03-20";
    for page_path in [&format!("/services/checkout{query}"), &format!("/environments/production{query}"), &deployment] {
        let page = finance.get(page_path).await;
        assert_eq!(page.status, StatusCode::OK, "{page_path}: {}", page.body);
        assert!(
            page.body.contains(&format!("<a class=\"break\" href=\"{path}\">Load test")),
            "{page_path}: {}",
            page.body
        );
        assert!(page.body.contains("href=\"https://ui.honeycomb.example/m1\" rel="), "{page_path}: {}", page.body);
    }
    for absent in ["/events/999999", "/events/x", "/events/-1"] {
        assert_eq!(finance.get(absent).await.status, StatusCode::NOT_FOUND, "{absent}");
    }
}

/// Neither a rule that changes nor a delivery that is read again moves what is pinned, even where the event is gone in
/// between.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pin_holds_through_rules_and_replays(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let fields = [("service", "search"), ("environment", "staging")];
    assert_eq!(finance.post_form(&format!("{path}/pin"), &fields).await.status, StatusCode::SEE_OTHER);
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(event_deliveries::read_all_again(&mut conn, None, None).await.unwrap(), 1);
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
    assert_eq!(places(&pool).await, ["search in staging"]);
    // What its sender tells of it later does not move it either.
    let mut later = marker();
    later["end_time"] = json!(1_772_360_400);
    tell(&pool, "honeycomb", &later).await;
    assert_eq!(places(&pool).await, ["search in staging"]);
    // A name that is added maps everything again, without the rules that gave it to checkout.
    sqlx::query("DELETE FROM mapping_rule WHERE service_from_attribute IS NOT NULL").execute(&pool).await.unwrap();
    assert_eq!(finance.post_form("/catalogue/add-service", &[("name", "new")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(places(&pool).await, ["search in staging"]);
    // Nothing tells of it for a while: its row is made anew.
    let bodies: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT event_delivery_id, body FROM event_delivery").fetch_all(&pool).await.unwrap();
    for body in [Some(b"not JSON".to_vec()), None] {
        for (id, told) in &bodies {
            sqlx::query("UPDATE event_delivery SET body = $2 WHERE event_delivery_id = $1")
                .bind(id)
                .bind(body.as_ref().unwrap_or(told))
                .execute(&pool)
                .await
                .unwrap();
            assert!(event_deliveries::read_again(&mut conn, *id).await.unwrap());
        }
        read_new(&pool).await.unwrap();
        let expected: &[&str] = if body.is_some() { &[] } else { &["search in staging"] };
        assert_eq!(places(&pool).await, expected);
    }
    // The pin is that of the new row, and lets it go: no rule knows its service now.
    let path = format!("/events/{}", count(&pool, ID).await);
    assert!(finance.get(&path).await.body.contains("Pinned by person-"));
    assert_eq!(finance.post_form(&format!("{path}/unpin"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(places(&pool).await, ["production"]);
}

/// A pin whose event nothing tells of any more is listed beside the events that lack a service, and taken away there or by
/// a program; then rules decide once the event is told of again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pin_without_an_event_is_listed_and_taken_away(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    let app = &doors.app;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let fields = [("service", "search"), ("environment", "staging")];
    let pin = async || {
        let path = format!("/events/{}", count(&pool, ID).await);
        assert_eq!(finance.post_form(&format!("{path}/pin"), &fields).await.status, StatusCode::SEE_OTHER);
    };
    let (id, told): (i64, Vec<u8>) =
        sqlx::query_as("SELECT event_delivery_id, body FROM event_delivery").fetch_one(&pool).await.unwrap();
    let tell = async |body: &[u8]| {
        let sql = "UPDATE event_delivery SET body = $2 WHERE event_delivery_id = $1";
        sqlx::query(sql).bind(id).bind(body).execute(&pool).await.unwrap();
        assert!(event_deliveries::read_again(&mut pool.acquire().await.unwrap(), id).await.unwrap());
        read_new(&pool).await.unwrap();
    };
    let listed = async || app.api("GET", "/api/v1/event-pins", &token, Value::Null).await.json();
    pin().await;
    let key: String =
        sqlx::query_scalar("SELECT external_id FROM operational_event_pin").fetch_one(&pool).await.unwrap();
    let of_key = [("source", "honeycomb"), ("id", key.as_str())];
    // Of an event that is there its page lets go.
    assert!(!finance.get("/unmapped?show=events").await.body.contains("Pins without an event"));
    assert_eq!(finance.post_form("/event-pins/remove", &of_key).await.status, StatusCode::CONFLICT);
    assert_eq!(listed().await[0]["event_id"], json!(count(&pool, ID).await));

    tell(b"not JSON".as_slice()).await;
    assert_eq!(finance.get(&path).await.status, StatusCode::NOT_FOUND);
    let page = finance.get("/unmapped?show=events").await.body;
    for text in [
        "Pins without an event",
        key.as_str(),
        "<td class=\"break\" data-label=\"Services\">search</td>",
        "staging",
        "Remove the pin",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let seen = app.browser(Role::Viewer, false, &[]).await.get("/unmapped?show=events").await.body;
    assert!(seen.contains("Pins without an event") && !seen.contains("Remove the pin"), "{seen}");
    let pins = listed().await;
    assert_eq!((&pins[0]["event_id"], &pins[0]["id"]), (&Value::Null, &json!(key)), "{pins}");
    let removed = finance.post_form("/event-pins/remove", &of_key).await;
    assert_eq!((removed.status, removed.location()), (StatusCode::SEE_OTHER, "/unmapped?show=events"));
    assert!(!finance.get(removed.location()).await.body.contains("Pins without an event"));
    assert_eq!(listed().await, json!([]));
    tell(told.as_slice()).await;
    assert_eq!(places(&pool).await, ["checkout in production"]);

    pin().await;
    tell(b"not JSON".as_slice()).await;
    let remove = async || {
        let body = json!({"source": "honeycomb", "id": key});
        app.api("POST", "/api/v1/event-pins/remove", &token, body).await.status
    };
    assert_eq!(remove().await, StatusCode::OK);
    assert_eq!(remove().await, StatusCode::CONFLICT);
    let subject = format!("event {key} of honeycomb");
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'event.unpinned' AND subject = $1";
    let audited: i64 = sqlx::query_scalar(audited).bind(subject).fetch_one(&pool).await.unwrap();
    assert_eq!(audited, 2);
}

/// Of an event of several services the form chooses none: another environment alone keeps all of them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_form_keeps_several_services(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    assert!(finance.get(&path).await.body.contains("name=\"service\" required><option value=\"\">choose one</option>"));
    let token = doors.app.token(TokenScope::Admin, Role::Finance).await;
    let both = json!({"services": ["search", "checkout"]});
    let pinned = doors.app.api("PUT", &format!("/api/v1{path}/pin"), &token, both).await;
    assert_eq!(pinned.status, StatusCode::OK, "{}", pinned.body);
    let page = finance.get(&path).await.body;
    assert!(page.contains("name=\"service\"><option value=\"\">those that it has</option>"), "{page}");
    assert!(!page.contains("<option value=\"checkout\" selected>"), "{page}");
    let fields = [("service", ""), ("environment", "staging")];
    assert_eq!(finance.post_form(&format!("{path}/pin"), &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(places(&pool).await, ["checkout and search in staging"]);
}

/// A service that is deleted is taken out of the pins that name it. One that named no other is gone: rules decide again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pin_ends_with_the_last_service_that_it_names(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('desk', 'Desk')").execute(&pool).await.unwrap();
    let token = doors.app.token(TokenScope::Admin, Role::Finance).await;
    let pin = format!("/api/v1{path}/pin");
    let pinned = doors.app.api("PUT", &pin, &token, json!({"services": ["search", "desk"]})).await;
    assert_eq!(pinned.status, StatusCode::OK, "{}", pinned.body);
    assert_eq!(places(&pool).await, ["desk and search in production"]);
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    for (slug, place, pin_count) in [("search", "desk in production", 1), ("desk", "checkout in production", 0)] {
        let deleted = finance.post_form(&format!("/catalogue/services/{slug}/delete"), &[]).await;
        assert_eq!(deleted.status, StatusCode::SEE_OTHER, "{slug}: {}", deleted.body);
        assert_eq!(places(&pool).await, [place], "{slug}");
        assert_eq!(count(&pool, "SELECT count(*) FROM operational_event_pin").await, pin_count, "{slug}");
    }
}

/// Programs pin, list and let go; what cannot be is refused with a sentence, and nothing is changed.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn programs_pin_events(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    let app = &doors.app;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let pin = format!("/api/v1{path}/pin");
    let pins = async || app.api("GET", "/api/v1/event-pins", &token, Value::Null).await.json();
    for (body, said) in [
        (json!({"services": ["nobody"]}), "There is no service “nobody”. Add it to the catalogue first."),
        (json!({"environment": "nowhere"}), "There is no environment “nowhere”. Add it to the catalogue first."),
        (json!({"services": []}), "say which service it is of"),
        (json!({"service": "search"}), "The body does not fit"),
    ] {
        let refused = app.api("PUT", &pin, &token, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.body);
        assert!(refused.json()["error"].as_str().unwrap().contains(said), "{body}: {}", refused.body);
    }
    assert_eq!(pins().await, json!([]));
    let state = |page: crate::support::Page| {
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let told = page.json();
        (told["is_pinned"].as_bool().unwrap(), told["has_changed"].as_bool().unwrap())
    };
    assert_eq!(state(app.api("PUT", &pin, &token, Value::Null).await), (true, true));
    assert_eq!(state(app.api("PUT", &pin, &token, json!({})).await), (true, false));
    let both = json!({"services": ["search", "checkout", "search"]});
    assert_eq!(state(app.api("PUT", &pin, &token, both).await), (true, true));
    assert_eq!(places(&pool).await, ["checkout and search in production"]);
    assert_eq!(state(app.api("PUT", &pin, &token, json!({"environment": null})).await), (true, true));
    assert_eq!(places(&pool).await, ["checkout and search"]);
    let listed = pins().await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(
        (&listed[0]["services"], &listed[0]["environment"], &listed[0]["source"], &listed[0]["event_id"]),
        (&json!(["checkout", "search"]), &Value::Null, &json!("honeycomb"), &json!(count(&pool, ID).await))
    );
    assert_eq!(state(app.api("DELETE", &pin, &token, Value::Null).await), (false, true));
    assert_eq!(state(app.api("DELETE", &pin, &token, Value::Null).await), (false, false));
    assert_eq!(places(&pool).await, ["checkout in production"]);
    assert_eq!(pins().await, json!([]));
    let absent = app.api("PUT", "/api/v1/events/999999/pin", &token, Value::Null).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND, "{}", absent.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_log WHERE action LIKE 'event.%pinned'").await, 4);
}

/// Everybody who is signed in sees an event, as on the list; who may not change rules pins nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn who_may_not_change_rules_pins_no_event(pool: PgPool) {
    let (doors, path) = world(&pool).await;
    let app = &doors.app;
    for role in [Role::Viewer, Role::Member] {
        let reader = app.browser(role, false, &[]).await;
        let page = reader.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{role:?}: {}", page.body);
        assert!(page.body.contains("Service by “<a href=\"/rules/"), "{role:?}: {}", page.body);
        assert!(
            !page.body.contains("Pin this match") && !page.body.contains("Pin it there"),
            "{role:?}: {}",
            page.body
        );
        for action in ["pin", "unpin"] {
            let refused = reader.post_form(&format!("{path}/{action}"), &[("service", "search")]).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role:?} {action}");
        }
        let token = app.token(TokenScope::Admin, role).await;
        let refused = app.api("PUT", &format!("/api/v1{path}/pin"), &token, Value::Null).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role:?}: {}", refused.body);
        let read = app.token(TokenScope::Read, role).await;
        assert_eq!(app.api("GET", "/api/v1/event-pins", &read, Value::Null).await.json(), json!([]));
    }
    let read = app.token(TokenScope::Read, Role::Finance).await;
    let refused = app.api("PUT", &format!("/api/v1{path}/pin"), &read, Value::Null).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM operational_event_pin").await, 0);
}

/// An incident that no rule gives to a service says so, with the ways to give it to one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_event_of_no_service_leads_to_a_rule_and_takes_a_pin(pool: PgPool) {
    let (doors, _) = world(&pool).await;
    let incident = json!({"event": {"id": "e1", "event_type": "incident.triggered", "resource_type": "incident",
        "occurred_at": "2026-03-01T11:00:00Z", "data": {"id": "P1", "type": "incident", "status": "triggered",
            "title": "Orders fail", "service": {"summary": "Orders desk"}, "urgency": "high"}}});
    tell(&pool, "pagerduty", &incident).await;
    let id = count(&pool, "SELECT operational_event_id FROM operational_event WHERE kind = 'incident'").await;
    let path = format!("/events/{id}");
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let page = finance.get(&path).await.body;
    for text in [
        "It belongs to no service that a rule knows in any environment.",
        "It began on 1 Mar 2026 11:00 UTC and is still going.",
        "Service as sent: Orders desk",
        "Of no service yet: no service named “Orders desk” (rule ",
        "Make a rule",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("Pin this match"), "there is none: {page}");
    let unmapped = finance.get("/unmapped?show=events").await.body;
    assert!(unmapped.contains(&format!("<a href=\"{path}\">Orders fail</a>")), "{unmapped}");
    let refused = finance.post_form(&format!("{path}/pin"), &[]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    let pinned = finance.post_form(&format!("{path}/pin"), &[("service", "search"), ("environment", "")]).await;
    assert_eq!(pinned.status, StatusCode::SEE_OTHER, "{}", pinned.body);
    assert_eq!(places(&pool).await, ["checkout in production", "search"]);
    let viewer = doors.app.browser(Role::Viewer, false, &[]).await;
    assert!(!viewer.get(&path).await.body.contains("Make a rule"));
}
