//! Forecasts from bills to pages: worked out after a publication, made of parts that add up, held against what came.

#![expect(clippy::float_arithmetic, reason = "estimates against what was made up")]

use super::finance::{Line, World, decimal, deployed, world};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use costwake::jobs::forecasts;
use costwake::store::tokens::TokenScope;
use costwake::store::{self, Role};
use serde_json::Value;
use sqlx::PgPool;

const COSTS: [&str; 7] = ["100.10", "101.20", "99.30", "100.40", "98.50", "70.60", "69.70"];

/// Days of one month: a weekday profile, and tax on the last day; in October a credit.
async fn import(world: &World, month: &'static str, last: &str, now: &str) {
    world.import(&lines(month, last), now).await;
}

fn lines(month: &'static str, last: &str) -> Vec<Line> {
    let first: NaiveDate = format!("{month}-01").parse().unwrap();
    let last: NaiveDate = last.parse().unwrap();
    let mut lines = Vec::new();
    for at in first.iter_days().take_while(|day| *day <= last) {
        // Lines of tests hold text that lives as long as they do.
        let day: &'static str = Box::leak(at.to_string().into_boxed_str());
        let weekday = at.signed_duration_since(NaiveDate::default()).num_days().rem_euclid(7);
        let cost = COSTS[usize::try_from(weekday).unwrap()];
        lines.push(Line { cost, billed: month, day, service: "checkout", ..Line::default() });
        lines.push(Line { cost: "10.25", billed: month, day, service: "search", ..Line::default() });
        if at + chrono::Days::new(1) == first + chrono::Months::new(1) {
            lines.push(Line { cost: "200.5", billed: month, day, category: "Tax", ..Line::default() });
        }
        if day == "2026-10-25" {
            lines.push(Line { cost: "-3000", billed: month, day, category: "Credit", ..Line::default() });
        }
    }
    lines
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_is_forecast_shown_kept_and_held_against_what_came(db: PgPool) {
    let world = world(&db).await;
    let finance = world.finance().await;
    assert!(finance.get("/finance/forecast").await.body.contains("No forecast yet"));
    import(&world, "2026-10", "2026-10-20", "2026-10-21T06:00:00Z").await;
    assert!(forecasts::ask_where_due(&world.app.state.pools).await.unwrap());
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    forecasts::forecast(&world.app.state.pools, now).await.unwrap();
    let short = finance.get("/services/checkout").await;
    assert!(short.body.contains("History too short"), "{}", short.body);

    for (month, last, now) in [
        ("2026-07", "2026-07-31", "2026-10-21T07:00:00Z"),
        ("2026-08", "2026-08-31", "2026-10-21T08:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-21T09:00:00Z"),
        ("2026-10", "2026-10-31", "2026-11-02T06:00:00Z"),
        ("2026-11", "2026-11-18", "2026-11-19T06:00:00Z"),
    ] {
        import(&world, month, last, now).await;
    }
    let done = forecasts::forecast(&world.app.state.pools, now).await.unwrap();
    // Two services and all cost, three horizons each.
    assert_eq!(done.forecast_count, 9);
    assert!(!forecasts::ask_where_due(&world.app.state.pools).await.unwrap());

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let get = async |path: &str| world.app.api("GET", path, &token, Value::Null).await.json();
    let answer = get("/api/v1/forecast?service=checkout&by=month").await;
    let november = &answer["forecasts"][0];
    let amount = |key: &str| november[key].as_str().unwrap().parse::<BigDecimal>().unwrap();
    assert_eq!(amount("point"), amount("known") + amount("incomplete") + amount("rest") + amount("fees"));
    let known: BigDecimal = sqlx::query_scalar(
        "SELECT sum(effective_cost) FROM daily_cost c JOIN generation g USING (generation_id)
         JOIN service s USING (service_id)
         WHERE g.state = 'current' AND s.slug = 'checkout' AND charge_date BETWEEN '2026-11-01' AND $1",
    )
    .bind(november["bills_complete_to"].as_str().unwrap().parse::<NaiveDate>().unwrap())
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(amount("known"), known, "exact");
    assert_eq!(amount("fees"), decimal("200.5"), "the tax of the month's last day, and no credit");
    // Thirty days of the profile and the tax.
    let expected = 30.0 / 7.0 * (100.1 + 101.2 + 99.3 + 100.4 + 98.5 + 70.6 + 69.7) + 200.5;
    let point: f64 = november["point"].as_str().unwrap().parse().unwrap();
    assert!((point / expected - 1.0_f64).abs() < 0.03, "{point} {expected}");

    // October was over when it was asked about first, with too short a history; both are asked about afterwards.
    let past = answer["past"].as_array().unwrap();
    let september = past.iter().find(|one| one["first_day"] == "2026-09-01").unwrap();
    assert_eq!(september["is_hindcast"], true);
    let actual: f64 = september["actual"].as_str().unwrap().parse().unwrap();
    let said: f64 = september["point"].as_str().unwrap().parse().unwrap();
    assert!((said / actual - 1.0).abs() < 0.1, "{said} {actual}");
    let levels: i64 = sqlx::query_scalar("SELECT count(*) FROM forecast_level").fetch_one(&db).await.unwrap();
    assert!(levels > 0, "intervals teach");

    let page = finance.get("/services/checkout").await;
    assert!(page.body.contains("id=\"forecast\"") && page.body.contains("Quarter 4, 2026"), "{}", page.body);
    assert!(page.body.contains("taxes, credits and fees by the calendar"), "{}", page.body);
    let all = finance.get("/finance/forecast").await;
    assert!(all.body.contains("November 2026 is expected to end at $"), "{}", all.body);
    let csv = finance.get("/finance/forecast.csv").await.body;
    assert_eq!(csv.lines().count(), 10, "{csv}");
    assert_eq!(finance.get("/finance/forecast.csv?cur=usd").await.body, csv);
    assert_eq!(get("/api/v1/forecast?service=checkout&by=month&cur=usd").await, answer);
    assert!(finance.get("/finance/statements/2026-11").await.body.contains("id=\"forecast\""));

    // Members see their own teams' forecasts only.
    let team: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('find', 'Find') RETURNING team_id")
        .fetch_one(&db)
        .await
        .unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'search'").bind(team).execute(&db).await.unwrap();
    forecasts::forecast(&world.app.state.pools, now).await.unwrap();
    let member = world.app.browser(Role::Member, false, &[team]).await;
    let own = member.get("/finance/forecast.csv").await.body;
    assert!(own.contains("service,search,USD") && own.contains("team,find,USD"), "{own}");
    assert!(!own.contains("checkout") && !own.contains("total"), "{own}");
    assert!(member.get("/teams/find").await.body.contains("id=\"forecast\""));
}

/// A service that moves to another team makes no earlier forecast of either of them wrong.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_team_is_held_against_the_services_that_it_had(db: PgPool) {
    let world = world(&db).await;
    for (month, last, now) in [
        ("2026-07", "2026-07-31", "2026-08-02T06:00:00Z"),
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
        ("2026-10", "2026-10-18", "2026-10-19T06:00:00Z"),
    ] {
        import(&world, month, last, now).await;
    }
    let team = async |slug: &str| -> i64 {
        let made = "INSERT INTO team (slug, name) VALUES ($1, initcap($1)) RETURNING team_id";
        sqlx::query_scalar(made).bind(slug).fetch_one(&db).await.unwrap()
    };
    let (pay, find) = (team("pay").await, team("find").await);
    let give = async |service: &str, team_id: i64| {
        let given = "UPDATE service SET team_id = $1 WHERE slug = $2";
        sqlx::query(given).bind(team_id).bind(service).execute(&db).await.unwrap();
    };
    for service in ["checkout", "search"] {
        give(service, pay).await;
    }
    let forecast = async |now: &str| {
        forecasts::forecast(&world.app.state.pools, now.parse().unwrap()).await.unwrap();
    };
    forecast("2026-10-19T12:00:00Z").await;

    // A service that is made since is the team's as well.
    let mut october = lines("2026-10", "2026-10-31");
    let mail = Line { cost: "33.5", billed: "2026-10", day: "2026-10-28", service: "mail", ..Line::default() };
    october.push(mail);
    world.import(&october, "2026-11-02T06:00:00Z").await;
    give("mail", pay).await;
    import(&world, "2026-11", "2026-11-18", "2026-11-19T06:00:00Z").await;
    let actual = async |team_id: i64| -> Vec<Option<BigDecimal>> {
        let came = "SELECT actual FROM forecast WHERE scope = 'team' AND scope_id = $1 AND horizon = 'month'
                    AND first_day = '2026-10-01' AND NOT is_hindcast";
        sqlx::query_scalar(came).bind(team_id).fetch_all(&db).await.unwrap()
    };
    let all: BigDecimal = sqlx::query_scalar(
        "SELECT sum(effective_cost) FROM daily_cost JOIN generation g USING (generation_id)
         WHERE g.state = 'current' AND charge_date BETWEEN '2026-10-01' AND '2026-10-31'",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    forecast("2026-11-20T12:00:00Z").await;
    assert_eq!(actual(pay).await, [Some(all.clone())]);
    for service in ["search", "mail"] {
        give(service, find).await;
    }
    assert!(forecasts::ask_where_due(&world.app.state.pools).await.unwrap());
    forecast("2026-11-20T13:00:00Z").await;
    // The one that was made since was never asked about: it counts where it is.
    assert_eq!(actual(pay).await, [Some(all - decimal("33.5"))]);
    assert_eq!(actual(find).await, [] as [Option<BigDecimal>; 0], "nobody was told anything of it then");
    let page = world.finance().await.get("/teams/pay").await;
    assert!(page.body.contains("and what came of the services that the team had then"), "{}", page.body);
}

/// While its answer is provisional a release is told beside the forecast, with what it could move; once it has settled the
/// level starts anew there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_is_told_while_it_is_measured_and_starts_the_level_anew_once_settled(db: PgPool) {
    let world = world(&db).await;
    for (month, last, now) in [
        ("2026-08", "2026-08-31", "2026-10-21T08:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-21T09:00:00Z"),
        ("2026-10", "2026-10-31", "2026-11-02T06:00:00Z"),
        ("2026-11", "2026-11-18", "2026-11-19T06:00:00Z"),
    ] {
        import(&world, month, last, now).await;
    }
    let environment = "INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production')";
    sqlx::query(environment).execute(&db).await.unwrap();
    let id = deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-20T10:00:00Z").await;
    let finance = world.finance().await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let november = async |phase: &str, finding: &str| {
        // A provisional answer is of a release whose fourteen days are not over.
        let day = if phase == "provisional" { "2026-11-08" } else { "2026-10-20" };
        let answer = "INSERT INTO deployment_effect (deployment_id, service_id, environment_id, billing_currency,
                release_date, effect_date, asked_on, computed_at, publication_id, phase, finding, reason, days_before,
                days_after, horizon_days, per_day, per_day_low, per_day_high, before_per_day, method, fingerprint)
             SELECT d.deployment_id, s.service_id, d.environment_id, 'USD', $4::text::date, $4::text::date,
                '2026-11-16', now(), 1, $2, $3, 'clear-effect', 80, 14, 14, 12.5, 10, 15, 90, 'test', $2
             FROM deployment d JOIN deployment_service s USING (deployment_id) WHERE d.deployment_id = $1";
        sqlx::query(answer).bind(id).bind(phase).bind(finding).bind(day).execute(&db).await.unwrap();
        assert!(forecasts::ask_where_due(&world.app.state.pools).await.unwrap(), "{phase}");
        forecasts::forecast(&world.app.state.pools, "2026-11-20T12:00:00Z".parse().unwrap()).await.unwrap();
        let path = "/api/v1/forecast?service=checkout&by=month";
        world.app.api("GET", path, &token, Value::Null).await.json()["forecasts"][0].clone()
    };
    let told = "1 effect of a release is still being measured: +$12.50 a day, if it stayed so, would be +$";

    let measured = november("provisional", "increase").await;
    assert_eq!((&measured["restart_count"], &measured["measured_count"]), (&Value::from(0), &Value::from(1)));
    let complete_to: NaiveDate = measured["bills_complete_to"].as_str().unwrap().parse().unwrap();
    let days = ("2026-11-30".parse::<NaiveDate>().unwrap() - complete_to).num_days();
    assert_eq!(decimal(measured["measured_could_rise"].as_str().unwrap()), decimal("12.5") * BigDecimal::from(days));
    assert_eq!(measured["measured_could_fall"], "0");
    assert!(measured["measured"].as_str().unwrap().starts_with(told), "{measured}");
    for page in ["/services/checkout", "/finance/forecast", "/finance/statements/2026-11", "/"] {
        let body = finance.get(page).await.body;
        assert!(body.contains(told), "{page}: {body}");
    }

    for (phase, finding, restarts) in [
        ("settled", "increase", 1),
        ("settled", "no-material-change", 0),
        ("revised", "decrease", 1),
        ("measuring", "cannot-tell", 0),
    ] {
        let november = november(phase, finding).await;
        assert_eq!(november["restart_count"], restarts, "{phase} {finding}");
        assert_eq!(
            (&november["measured_count"], &november["measured"]),
            (&Value::from(0), &Value::from("")),
            "{phase}"
        );
    }
    assert!(!finance.get("/services/checkout").await.body.contains("still being measured"));
}

/// Of a period that is over the sweep keeps the forecast that it is held against, whatever else was asked; the last forty
/// days are kept whole.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_sweep_keeps_what_a_period_is_held_against(db: PgPool) {
    // Asked every day from the fifth on: September, October, the quarter; August never had an interval.
    let asked = "INSERT INTO forecast (scope, scope_id, billing_currency, horizon, first_day, last_day, asked_on,
                     publication_id, computed_at, known, point, low, high, no_forecast, actual)
                 SELECT 'service', 7, 'USD', horizon, first_day, last_day, day::date, 1, now(), 5, point, point - 1,
                     point + 1, CASE WHEN point IS NULL THEN 'short' ELSE '' END, 10
                 FROM (VALUES ('month', '2026-08-01'::date, '2026-08-31'::date, NULL::numeric),
                     ('month', '2026-09-01', '2026-09-30', 9), ('month', '2026-10-01', '2026-10-31', 9),
                     ('month', '2026-11-01', '2026-11-30', 9), ('quarter', '2026-10-01', '2026-12-31', 9)
                 ) period (horizon, first_day, last_day, point),
                 generate_series(first_day + 4, least(last_day, '2026-11-18'), '1 day') day";
    sqlx::query(asked).execute(&db).await.unwrap();
    let mut conn = db.acquire().await.unwrap();
    let gone = store::forecasts::delete_old(&mut conn).await.unwrap();
    let left: Vec<(String, NaiveDate, NaiveDate, NaiveDate, i64)> = sqlx::query_as(
        "SELECT horizon, first_day, min(asked_on), max(asked_on), count(*) FROM forecast GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let of = |horizon: &str, first: &str, from: &str, to: &str, count| {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        (horizon.to_owned(), day(first), day(from), day(to), count)
    };
    let expected = [
        of("month", "2026-08-01", "2026-08-16", "2026-08-16", 1),
        of("month", "2026-09-01", "2026-09-16", "2026-09-16", 1),
        // From the ninth on they are of the last forty days.
        of("month", "2026-10-01", "2026-10-09", "2026-10-31", 23),
        of("month", "2026-11-01", "2026-11-05", "2026-11-18", 14),
        of("quarter", "2026-10-01", "2026-10-09", "2026-11-18", 41),
    ];
    assert_eq!(left, expected);
    assert_eq!(gone, 26 + 25 + 4 + 4);
    assert_eq!(store::forecasts::delete_old(&mut conn).await.unwrap(), 0);
}
