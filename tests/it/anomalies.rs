//! Anomalies from bills to answers: found, told once, answered, taught from, closed, withdrawn by a restated bill.

#![expect(clippy::float_arithmetic, reason = "estimates against what was made up")]

use super::finance::{BY, World, column, texts, time, world};
use super::made_bills::{self, Made, day};
use super::support::usual_cents;
use chrono::NaiveDate;
use costwake::jobs::anomalies::{self, Detected};
use costwake::rollup::{accept, metrics_import, withdraw};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const SERVICES: [&str; 4] = ["checkout", "search", "ledger", "mail"];

/// Imports a month; `more` are cents that checkout costs more on its second machine, from a day on.
async fn import(world: &World, month: &str, last: &str, more: (i64, &str), now: &str) {
    let (cents, from) = (more.0, day(more.1));
    let machines = SERVICES.into_iter().enumerate().flat_map(|(index, service)| {
        let second = move |at: NaiveDate| 200 + if index == 0 && at >= from { cents } else { 0 };
        let machine = |name: &str| format!("vm-{service}-{name}");
        [
            Made::new(service, move |at| usual_cents(index, at)).on(&machine("a")).of_one_unit(),
            Made::new(service, second).on(&machine("b")).of_one_unit(),
        ]
    });
    world.import_text(&made_bills::bill(month, last, &machines.collect::<Vec<_>>()), now).await;
}

async fn filled(db: &PgPool, more: (i64, &str)) -> World {
    let world = world(db).await;
    import(&world, "2026-08", "2026-08-31", more, "2026-09-02T06:00:00Z").await;
    import(&world, "2026-09", "2026-09-30", more, "2026-10-02T06:00:00Z").await;
    import(&world, "2026-10", "2026-10-31", more, "2026-11-02T06:00:00Z").await;
    import(&world, "2026-11", "2026-11-18", more, "2026-11-19T06:00:00Z").await;
    world
}

async fn detect(world: &World) -> Detected {
    anomalies::detect(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap()
}

async fn rows(db: &PgPool) -> Vec<(i64, String, String, Option<String>, NaiveDate)> {
    sqlx::query_as("SELECT anomaly_id, kind, state, close_reason, start_date FROM anomaly ORDER BY anomaly_id")
        .fetch_all(db)
        .await
        .unwrap()
}

async fn team(db: &PgPool, service: &str) -> i64 {
    let id: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('pay', 'Pay') RETURNING team_id")
        .fetch_one(db)
        .await
        .unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = $2").bind(id).bind(service).execute(db).await.unwrap();
    id
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn two_that_look_at_once_tell_of_a_cause_once(db: PgPool) {
    let world = filled(&db, (6000, "2026-11-08")).await;
    let (one, other) = tokio::join!(detect(&world), detect(&world));
    assert_eq!(one.opened_count + other.opened_count, 1);
    assert_eq!(rows(&db).await.len(), 1, "{:?}", rows(&db).await);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_level_that_nothing_explains_is_told_once_answered_and_withdrawn(db: PgPool) {
    // 60 more a day from 8 November on: 11 complete days.
    let world = filled(&db, (6000, "2026-11-08")).await;
    assert!(anomalies::ask_where_due(&world.app.state.pools).await.unwrap());
    let done = detect(&world).await;
    assert_eq!((done.series_count, done.looked_count, done.opened_count), (4, 4, 1), "{:?}", rows(&db).await);
    assert!(!anomalies::ask_where_due(&world.app.state.pools).await.unwrap());
    let all = rows(&db).await;
    let (id, kind, state, _, start) = &all[0];
    assert_eq!((kind.as_str(), state.as_str()), ("without-release", "open"));
    assert!((*start - day("2026-11-08")).num_days().abs() <= 1, "{start}");
    // Nothing changed: nothing is looked at again.
    assert_eq!(detect(&world).await, Detected { series_count: 4, ..Detected::default() });

    // What came is exact, what was expected adds up with it, and the second machine makes it.
    let (actual, expected, billed): (f64, f64, f64) = sqlx::query_as(
        "SELECT actual_total::float8, expected_total::float8,
                (SELECT sum(c.effective_cost) FROM daily_cost c JOIN service s USING (service_id)
                 WHERE s.slug = 'checkout' AND c.charge_date BETWEEN a.start_date AND a.end_date)::float8
         FROM anomaly a",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(actual, billed);
    let per_day = (actual - expected) / ((day("2026-11-18") - *start).num_days() + 1) as f64;
    assert!((50.0..70.0).contains(&per_day), "{per_day} {actual} {expected}");
    let parts: Value = sqlx::query_scalar("SELECT parts FROM anomaly").fetch_one(&db).await.unwrap();
    assert_eq!(parts[0]["resource_id"], "vm-checkout-b", "{parts}");

    let finance = world.finance().await;
    let list = finance.get("/anomalies").await;
    assert!(list.body.contains("1 open, $") && list.body.contains(&format!("A-{id} checkout")), "{}", list.body);
    let path = format!("/anomalies/{id}");
    let page = finance.get(&path).await;
    for text in ["more than expected in", "class=\"band\"", "vm-checkout-b", "Not explained", "Close or keep"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    // A part leads to its lines; what the model makes of all parts together has none.
    let linked = texts(&page.body, "section[aria-labelledby='h-parts'] a[href^='/charges']");
    assert!(linked.contains(&"vm-checkout-b".to_owned()), "{linked:?}");
    assert!(page.body.contains("Weekdays, traffic and level") && linked.iter().all(|name| name.starts_with("vm-")));
    let csv = finance.get("/anomalies.csv").await;
    assert!(csv.body.contains("without-release,open"), "{}", csv.body);
    assert!(finance.get("/").await.body.contains("Unusual cost that is open"));
    let badge = texts(&finance.get("/deployments").await.body, "nav a[href='/anomalies'] .count");
    assert_eq!(badge, ["1 open"], "every page says how many are open");
    assert!(finance.get("/services/checkout").await.body.contains(&format!("A-{id}")));

    // An answer stands, is written down and can be taken back.
    let state = format!("{path}/state");
    assert_eq!(finance.post_form(&state, &[("state", "explained"), ("reason", " ")]).await.status, 400);
    let planned = [("state", "planned"), ("reason", "Load test."), ("until", "someday")];
    assert_eq!(finance.post_form(&state, &planned).await.status, 400);
    let past = [("state", "planned"), ("reason", "Load test."), ("until", "2026-11-17")];
    let refused = finance.post_form(&state, &past).await;
    assert_eq!(refused.status, 400, "it costs after its plan");
    assert!(refused.body.contains("Give a last day from 2026-11-18 on"), "{}", refused.body);
    assert!(finance.get("/anomalies").await.body.contains("1 open, $"));
    assert_eq!(finance.post_form(&state, &[("state", "acknowledged")]).await.status, 303);
    let answer = [("state", "explained"), ("reason", "A bigger machine, agreed.")];
    assert_eq!(finance.post_form(&state, &answer).await.status, 303);
    let page = finance.get(&path).await;
    assert!(page.body.contains("A bigger machine, agreed.") && page.body.contains("Take the answer back"));
    assert_eq!(finance.post_form(&state, &[("state", "open")]).await.status, 303);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'anomaly.answered'")
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(audited, 3);

    // November is restated without it.
    import(&world, "2026-11", "2026-11-18", (0, "2026-11-08"), "2026-11-19T08:00:00Z").await;
    let restated = detect(&world).await;
    assert_eq!((restated.opened_count, restated.closed_count), (0, 1));
    let all = rows(&db).await;
    assert_eq!((all[0].2.as_str(), all[0].3.as_deref()), ("closed", Some("withdrawn")), "{all:?}");
    assert!(finance.get(&path).await.body.contains("Withdrawn by a restated bill"));
}

/// A series that is in no bill any more is looked at by nobody: what was told of it must not stay.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_open_is_withdrawn_with_all_bills_that_it_was_found_in(db: PgPool) {
    let world = world(&db).await;
    let months = [
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
        ("2026-10", "2026-10-31", "2026-11-02T06:00:00Z"),
        ("2026-11", "2026-11-18", "2026-11-19T06:00:00Z"),
    ];
    let from = day("2026-11-08");
    let checkout = |at: NaiveDate| usual_cents(0, at) + if at >= from { 6000 } else { 0 };
    let (mut of_checkout, mut of_others) = (Vec::new(), Vec::new());
    for (month, last, now) in months {
        let bill = |made: &[Made<'_>]| made_bills::bill(month, last, made);
        let others = [Made::new("search", |at| usual_cents(1, at)), Made::new("mail", |at| usual_cents(3, at))];
        of_others.push(world.import_text(&bill(&others), now).await.delivery_id);
        of_checkout
            .push(world.import_as("cloud-two", &bill(&[Made::new("checkout", checkout)]), now).await.delivery_id);
    }
    assert_eq!(detect(&world).await.opened_count, 1, "{:?}", rows(&db).await);
    let told: String = sqlx::query_scalar("SELECT actual_total::text FROM anomaly").fetch_one(&db).await.unwrap();
    let pools = &world.app.state.pools;
    for id in &of_checkout {
        withdraw(pools, *id, BY, time("2026-11-20T07:00:00Z")).await.unwrap();
    }
    assert!(anomalies::ask_where_due(pools).await.unwrap());
    assert_eq!(detect(&world).await.closed_count, 1);
    let states = async || rows(&db).await.into_iter().map(|(_, _, state, why, _)| (state, why)).collect::<Vec<_>>();
    let withdrawn = ("closed".to_owned(), Some("withdrawn".to_owned()));
    assert_eq!(states().await, std::slice::from_ref(&withdrawn));
    let after: String = sqlx::query_scalar("SELECT actual_total::text FROM anomaly").fetch_one(&db).await.unwrap();
    assert_eq!(after, told, "its amounts stay as they were told");
    let finance = world.finance().await;
    let page = finance.get(&format!("/anomalies/{}", rows(&db).await[0].0)).await;
    assert!(page.body.contains("took away all cost that it was found in"), "{}", page.body);

    // The same bills count again: what they show is found anew.
    for id in &of_checkout {
        accept(pools, *id, BY, time("2026-11-20T08:00:00Z")).await.unwrap();
    }
    assert_eq!(detect(&world).await.opened_count, 1, "{:?}", rows(&db).await);
    // And without any bill there is nothing that it could be found in.
    for id in of_checkout.iter().chain(&of_others) {
        withdraw(pools, *id, BY, time("2026-11-20T09:00:00Z")).await.unwrap();
    }
    assert_eq!(detect(&world).await.closed_count, 1);
    assert_eq!(states().await, [withdrawn.clone(), withdrawn]);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_level_becomes_the_new_normal_and_false_alarms_teach(db: PgPool) {
    // 28 complete days: found while it was news, and closed since.
    let world = filled(&db, (6000, "2026-10-22")).await;
    detect(&world).await;
    let all = rows(&db).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].2.as_str(), all[0].3.as_deref()), ("closed", Some("new-normal")));
    let finance = world.finance().await;
    let path = format!("/anomalies/{}", all[0].0);
    let answer = [("state", "false-alarm"), ("reason", "We told everybody.")];
    assert_eq!(finance.post_form(&format!("{path}/state"), &answer).await.status, 303);
    let list = finance.get("/anomalies").await;
    assert!(list.body.contains("1 false alarm, 0 explained"), "{}", list.body);
    assert!(list.body.contains("a lasting change of 22%"), "{}", list.body);
    // What was answered is looked at with another threshold, and stands.
    assert!(anomalies::ask_where_due(&world.app.state.pools).await.unwrap());
    let again = detect(&world).await;
    assert_eq!((again.looked_count, again.opened_count), (1, 0), "only the service that it is about");
    let service: i64 = sqlx::query_scalar("SELECT service_id FROM anomaly").fetch_one(&db).await.unwrap();
    let service = service.to_string();
    let forget = [("service", service.as_str()), ("team", "0"), ("lesson", "shift")];
    assert_eq!(finance.post_form("/anomalies/thresholds/reset", &forget).await.status, 303);
    assert!(finance.get("/anomalies").await.body.contains("told about at the usual thresholds"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_answer_taken_back_closes_what_was_closed_before(db: PgPool) {
    let world = filled(&db, (6000, "2026-10-22")).await;
    detect(&world).await;
    let finance = world.finance().await;
    let path = format!("/anomalies/{}", rows(&db).await[0].0);
    let state = format!("{path}/state");
    let answer = async |word: &'static str| {
        let form = [("state", word), ("reason", "We told everybody."), ("until", "2026-12-01")];
        let status = finance.post_form(&state, &form).await.status;
        let all = rows(&db).await;
        (status.as_u16(), all[0].2.clone(), all[0].3.clone())
    };
    let new_normal = || Some("new-normal".to_owned());
    assert_eq!(answer("explained").await, (303, "explained".into(), new_normal()));
    // It is over, so that nobody can keep it open, and another answer is one all the same.
    for word in ["acknowledged", "planned"] {
        assert_eq!(answer(word).await, (400, "explained".into(), new_normal()), "{word}");
    }
    assert!(!finance.get(&path).await.body.contains("Closes it until the last day above"));
    let table = async || {
        let csv = finance.get("/anomalies.csv").await.body;
        let number = path.replace("/anomalies/", "A-");
        let place = column(&csv, "Anomaly").iter().position(|one| *one == number).unwrap();
        ["State", "Reason", "AnsweredBy"].map(|name| column(&csv, name)[place].clone())
    };
    let [told, reason, by] = table().await;
    assert_eq!((told.as_str(), reason.as_str(), by.is_empty()), ("explained", "We told everybody.", false));
    assert_eq!(answer("false-alarm").await, (303, "false-alarm".into(), new_normal()));
    assert!(finance.get(&path).await.body.contains("It is closed as it was before"));
    assert_eq!(answer("open").await, (303, "closed".into(), new_normal()));
    assert_eq!(answer("open").await.0, 400, "there is no answer any more");
    assert_eq!(table().await, ["closed", "", ""], "nobody answers what it says now");
    let page = finance.get(&path).await.body;
    assert!(
        page.contains("Closed: the new normal") && page.contains("The answer was taken back; it is closed"),
        "{page}"
    );
    assert!(!page.contains("If nothing changes"), "{page}");
    assert!(texts(&finance.get("/deployments").await.body, "nav a[href='/anomalies'] .count").is_empty());
    // The next search leaves it as it is.
    detect(&world).await;
    assert_eq!(rows(&db).await[0].3, new_normal());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_anomaly_of_a_team_leads_to_what_its_services_deployed(db: PgPool) {
    let world = world(&db).await;
    import(&world, "2026-11", "2026-11-18", (0, "2026-11-01"), "2026-11-19T06:00:00Z").await;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO anomaly (team_id, service_category, billing_currency, kind, start_date, end_date, found_on,
            opened_at, changed_at, publication_id, day_count, actual_total, expected_total)
         VALUES ($1, 'Networking', 'USD', 'transfer-above-baseline', '2026-11-10', '2026-11-14', '2026-11-12',
            now(), now(), 1, 5, 900, 400) RETURNING anomaly_id",
    )
    .bind(team(&db, "search").await)
    .fetch_one(&db)
    .await
    .unwrap();
    let finance = world.finance().await;
    let page = finance.get(&format!("/anomalies/{id}")).await;
    assert_eq!(page.status, 200);
    for untrue in ["No deployment and no other event", "Not known for this service", "No cause was found yet"] {
        assert!(!page.body.contains(untrue), "{untrue}: {}", page.body);
    }
    for text in ["Causes are looked for by service.", "Deployments and traffic", "Not looked at", "/teams/pay"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let links = texts(&page.body, "a[href^='/deployments?period='][href$='team=pay']");
    assert_eq!(links.len(), 1, "{}", page.body);
    assert_eq!(finance.get("/deployments?period=2026-09-29..2026-11-14&team=pay").await.status, 200);
}

/// What was noted when it was closed stays as it was; the page says what is known of traffic by now.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn traffic_that_came_in_after_an_anomaly_was_closed_is_told(db: PgPool) {
    let world = filled(&db, (6000, "2026-10-22")).await;
    detect(&world).await;
    let (id, _, state, ..) = rows(&db).await[0].clone();
    assert_eq!(state, "closed");
    let finance = world.finance().await;
    let page = async || finance.get(&format!("/anomalies/{id}")).await.body;
    let unknown = page().await;
    assert!(unknown.contains("Not known for this service on these days: send requests"), "{unknown}");
    let mut metrics = String::from("metric,service,day,value,environment\n");
    for at in day("2026-08-01").iter_days().take_while(|at| *at <= day("2026-11-18")) {
        let requests = if at < day("2026-10-15") { 1000 } else { 1100 };
        metrics.push_str(&format!("requests,checkout,{at},{requests},production\n"));
    }
    let now = time("2026-11-19T07:00:00Z");
    metrics_import::import(&world.app.state.pools, metrics.as_bytes(), "test", "", now).await.unwrap();
    let known = page().await;
    assert!(!known.contains("Not known for this service"), "{known}");
    assert!(known.contains("on these days against the two weeks before, as is known by now"), "{known}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_environment_is_idle_beyond_the_days_of_its_policy(db: PgPool) {
    let world = filled(&db, (0, "2026-08-01")).await;
    // Nobody asks the checkout anything from 9 November on: ten complete days.
    let mut metrics = String::from("metric,service,day,value,environment\n");
    for at in day("2026-08-01").iter_days().take_while(|at| *at <= day("2026-11-18")) {
        let requests = if at < day("2026-11-09") { 50 * usual_cents(0, at) } else { 0 };
        metrics.push_str(&format!("requests,checkout,{at},{requests},production\n"));
    }
    let now = time("2026-11-19T07:00:00Z");
    metrics_import::import(&world.app.state.pools, metrics.as_bytes(), "test", "", now).await.unwrap();
    let finance = world.finance().await;
    let policy = async |days: &'static str| {
        let fields = [("name", "production"), ("slug", "production"), ("kind", "production"), ("idle_days", days)];
        let saved = finance.post_form("/catalogue/environments/production", &fields).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
        assert!(anomalies::ask_where_due(&world.app.state.pools).await.unwrap());
        detect(&world).await;
        let idle = rows(&db).await.into_iter().filter(|(_, kind, ..)| kind == "idle");
        idle.map(|(id, _, state, reason, start)| (id, state, reason, start)).collect::<Vec<_>>()
    };
    assert!(policy("11").await.is_empty(), "they are allowed");
    let told = policy("10").await;
    let [(id, state, _, start)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((state.as_str(), *start), ("open", day("2026-11-09")));
    // What is usual is kept: beyond some months no day tells it any more.
    let sql = "SELECT (evidence->>'no_use_units')::float8, (evidence->>'usual_cost')::float8 FROM anomaly WHERE kind = 'idle'";
    let (no_use, usual): (f64, f64) = sqlx::query_as(sql).fetch_one(&db).await.unwrap();
    assert!((5000.0..5500.0).contains(&no_use) && (95.0..110.0).contains(&usual), "{no_use} {usual}");
    let page = finance.get(&format!("/anomalies/{id}")).await;
    assert!(
        page.body.contains("in 10 days in which nobody used it; its environment\u{2019}s policy is 10 days"),
        "{}",
        page.body
    );
    let ended = policy("30").await;
    let [(_, state, reason, _)] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((state.as_str(), reason.as_deref()), ("closed", Some("ended")));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn anomalies_are_for_those_who_may_see_the_money(db: PgPool) {
    let world = filled(&db, (6000, "2026-11-08")).await;
    detect(&world).await;
    let id = rows(&db).await[0].0;
    let (page, state) = (format!("/anomalies/{id}"), format!("/anomalies/{id}/state"));
    let team_id = team(&db, "search").await;
    let stranger = world.app.browser(Role::Member, false, &[team_id]).await;
    assert_eq!(stranger.get(&page).await.status, 404);
    assert!(texts(&stranger.get("/anomalies").await.body, ".inbox li a").is_empty());
    assert!(texts(&stranger.get("/services").await.body, "nav a[href='/anomalies'] .count").is_empty());
    assert_eq!(stranger.post_form(&state, &[("state", "acknowledged")]).await.status, 404);
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    assert!(viewer.get(&page).await.body.contains("more than expected"));
    assert!(!viewer.get(&page).await.body.contains("Close or keep"));
    assert_eq!(viewer.post_form(&state, &[("state", "acknowledged")]).await.status, 403);

    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'checkout'").bind(team_id).execute(&db).await.unwrap();
    let token = world.app.token_of(world.app.person(Role::Member, false, &[team_id]).await, TokenScope::Admin).await;
    let listed = world.app.api("GET", "/api/v1/anomalies?state=open", &token, Value::Null).await.json();
    assert_eq!(listed["anomalies"][0]["anomaly_id"], id, "{listed}");
    let body = json!({"state": "planned", "reason": "A migration.", "until": "2026-12-01"});
    let path = format!("/api/v1/anomalies/{id}/state");
    let answered = world.app.api("POST", &path, &token, body).await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    let shown = world.app.api("GET", &format!("/api/v1/anomalies/{id}"), &token, Value::Null).await.json();
    assert_eq!((shown["state"].as_str(), shown["planned_until"].as_str()), (Some("planned"), Some("2026-12-01")));
    let amount = |value: &Value| -> bigdecimal::BigDecimal { value.as_str().unwrap().parse().unwrap() };
    let sum = |key: &str| -> bigdecimal::BigDecimal {
        shown["parts"].as_array().unwrap().iter().map(|part| amount(&part[key])).sum()
    };
    assert_eq!(sum("actual"), amount(&shown["actual_cost"]));
    assert_eq!(sum("expected"), amount(&shown["expected_cost"]));
    let wrong = world.app.api("GET", "/api/v1/anomalies?state=odd", &token, Value::Null).await;
    assert!(wrong.status == 400 && wrong.body.contains("Allowed: open"), "{}", wrong.body);
}
