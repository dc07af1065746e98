//! What bills said at each delivery, what was restated since a person looked, and how long days keep arriving.

use super::{BY, Line, column, decimal, sum, texts, time, world};
use crate::made_bills::{self, Made, even_cents};
use crate::support;
use costwake::rollup::revert;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, completeness, freshness};
use sqlx::PgPool;

fn october(checkout: &'static str, credit: &'static str) -> Vec<Line> {
    vec![
        Line { cost: checkout, ..Line::default() },
        Line { cost: "50.0000001", day: "2026-10-06", service: "ledger", ..Line::default() },
        Line { cost: credit, category: "Credit", ..Line::default() },
    ]
}

/// Every publication keeps its figure, a revert too; the difference adds up by service and by category, exactly.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_history_of_a_month_adds_up(db: PgPool) {
    let world = world(&db).await;
    world.import(&october("100.005", "-1"), "2026-11-02T06:00:00Z").await;
    world.import(&october("103.005", "-1.5"), "2026-11-03T06:00:00Z").await;
    let third = world.import(&october("90", "-9"), "2026-11-04T06:00:00Z").await;
    revert(&world.app.state.pools, third.delivery_id, BY, time("2026-11-05T06:00:00Z")).await.unwrap();
    let finance = world.finance().await;
    let csv = finance.get("/finance/history.csv?month=2026-10").await;
    let figures = column(&csv.body, "EffectiveCost");
    assert_eq!(figures, ["149.0050001", "151.5050001", "131.0000001", "151.5050001"], "{}", csv.body);
    assert_eq!(column(&csv.body, "Change"), ["", "2.5", "-20.505", "20.505"]);
    assert_eq!(column(&csv.body, "Kind"), ["publish", "publish", "publish", "revert"]);
    for by in ["service", "charge"] {
        let difference =
            finance.get(&format!("/finance/history/difference.csv?month=2026-10&from=1&to=2&by={by}")).await;
        assert_eq!(sum(&difference.body, "Change"), decimal("2.5"), "{}", difference.body);
        assert_eq!(sum(&difference.body, "Before"), decimal("149.0050001"));
        let page = finance.get(&format!("/finance/history?month=2026-10&from=1&to=2&by={by}")).await;
        let total = texts(&page.body, "section[aria-labelledby=difference] tr.total td").join(" ");
        assert_eq!(total, "$149.01 $151.51 +$2.50", "by={by}");
    }
    let difference = finance.get("/finance/history/difference.csv?month=2026-10&from=1&to=2").await;
    let mut rows: Vec<(String, String)> =
        column(&difference.body, "ChargeCategory").into_iter().zip(column(&difference.body, "Change")).collect();
    rows.sort();
    let expected = [("Credit", "-0.5"), ("Usage", "0"), ("Usage", "3")];
    assert_eq!(rows, expected.map(|(category, change)| (category.to_owned(), change.to_owned())));
    // A day: only its own cost.
    let day = finance.get("/finance/history.csv?day=2026-10-06").await;
    assert_eq!(column(&day.body, "EffectiveCost"), ["50.0000001"; 4], "{}", day.body);
    let wrong = finance.get("/finance/history?day=yesterday").await;
    assert!(wrong.body.contains("Give a day like 2026-11-03"));
    world.assert_clean().await;
}

/// A split that is saved later is applied to the bill that counts and not to the one before it: it is no difference.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_split_made_later_is_no_difference(db: PgPool) {
    let world = world(&db).await;
    world.import(&october("100", "-1"), "2026-11-02T06:00:00Z").await;
    world.import(&october("102.5", "-1"), "2026-11-03T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = serde_json::json!({"name": "Ledger", "source": "ledger", "method": "fixed",
        "targets": [{"service": "checkout", "percent": "100"}], "reason": "The checkout alone uses it."});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, axum::http::StatusCode::CREATED, "{}", made.body);
    assert!(support::count(&db, "SELECT count(*) FROM daily_cost WHERE split_id <> 0").await > 0);
    let difference = world.finance().await.get("/finance/history/difference.csv?month=2026-10&from=1&to=2").await.body;
    let mut rows: Vec<(String, String, String)> = column(&difference, "Service")
        .into_iter()
        .zip(column(&difference, "ChargeCategory"))
        .zip(column(&difference, "Change"))
        .map(|((service, category), change)| (service, category, change))
        .collect();
    rows.sort_unstable();
    let expected = [("checkout", "Credit", "0"), ("checkout", "Usage", "2.5"), ("ledger", "Usage", "0")];
    assert_eq!(rows, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())), "{difference}");
}

/// A person is told what changed since the visit before, until that visit ends; another person is not.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn restated_since_you_last_looked(db: PgPool) {
    let world = world(&db).await;
    world.import(&october("100", "-1"), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let says = |body: &str| body.contains("Restated since you last looked");
    for path in ["/", "/finance/statements/2026-10"] {
        assert!(!says(&finance.get(path).await.body), "the first visit has nothing to compare with");
        assert!(!says(&finance.get(path).await.body));
    }
    world.import(&october("102.5", "-1"), "2026-11-03T06:00:00Z").await;
    for path in ["/", "/finance/statements/2026-10"] {
        let page = finance.get(path).await;
        assert!(says(&page.body), "{path}: {}", page.body);
        let notice = texts(&page.body, "div.state.warn p").join(" ");
        assert!(notice.contains("October 2026") && notice.contains("+$2.50"), "{notice}");
        assert!(says(&finance.get(path).await.body), "a reload does not lose it");
    }
    assert!(!says(&world.finance().await.get("/").await.body), "someone else never saw the figure before");
    // The next visit begins: it compares with what this one saw.
    sqlx::query("UPDATE page_visit SET latest_at = latest_at - interval '1 day'").execute(&db).await.unwrap();
    assert!(!says(&finance.get("/").await.body));
    // A new month is no restatement.
    world.import(&[Line { billed: "2026-11", day: "2026-11-02", ..Line::default() }], "2026-11-03T07:00:00Z").await;
    sqlx::query("UPDATE page_visit SET latest_at = latest_at - interval '1 day'").execute(&db).await.unwrap();
    assert!(!says(&finance.get("/").await.body));
}

/// Of files that add up only those that were written again are restated, each by what took its own place.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_of_several_files_is_restated_by_itself(db: PgPool) {
    let world = world(&db).await;
    world.add_appending("oci").await;
    let import = async |object: &str, cost: &'static str, now: &str| {
        world.import_object(("oci", object), &[Line { cost, ..Line::default() }], now).await;
    };
    import("a.csv", "101", "2026-11-02T06:00:00Z").await;
    import("b.csv", "50", "2026-11-02T06:01:00Z").await;
    import("c.csv", "7", "2026-11-02T06:02:00Z").await;
    let finance = world.finance().await;
    finance.get("/finance/statements/2026-10").await;
    let told = async || {
        let page = finance.get("/finance/statements/2026-10").await.body;
        texts(&page, "div.state.warn p").join(" ")
    };
    import("a.csv", "102", "2026-11-03T06:00:00Z").await;
    let notice = told().await;
    assert!(notice.contains("October 2026") && notice.contains("+$1.00"), "{notice}");
    let history = finance.get("/finance/history.csv?month=2026-10").await;
    assert_eq!(column(&history.body, "Change"), ["", "50", "7", "1"], "{}", history.body);
    import("b.csv", "52.5", "2026-11-03T06:01:00Z").await;
    let notice = told().await;
    assert!(notice.contains("+$3.50"), "{notice}");
    world.assert_clean().await;
}

/// Where files add up, a correction is a line of its own in a new file: what it says of days that had settled is told,
/// what it says of new days and of days that were still arriving is not.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_correction_in_a_file_that_adds_up_is_restated(db: PgPool) {
    let world = world(&db).await;
    world.add_appending("oci").await;
    let line = |day: &'static str, cost: &'static str| Line { cost, day, ..Line::default() };
    let import = async |object: &str, lines: &[Line], now: &str| {
        world.import_object(("oci", object), lines, now).await;
    };
    import("05.csv", &[line("2026-10-05", "100")], "2026-10-06T06:00:00Z").await;
    import("06.csv", &[line("2026-10-06", "100")], "2026-10-07T06:00:00Z").await;
    import("07.csv", &[line("2026-10-07", "100")], "2026-10-08T06:00:00Z").await;
    let finance = world.finance().await;
    let paths = ["/finance/statements/2026-10", "/services/checkout"];
    for path in paths {
        finance.get(path).await;
    }
    let told = async |path: &str| texts(&finance.get(path).await.body, "div.state.warn p").join(" ");
    import("08.csv", &[line("2026-10-08", "100")], "2026-10-09T06:00:00Z").await;
    for path in paths {
        let notice = told(path).await;
        assert!(!notice.contains("You saw publication"), "an ordinary new day: {notice}");
    }
    import("09.csv", &[line("2026-10-09", "100"), line("2026-10-05", "-50")], "2026-10-10T06:00:00Z").await;
    for path in paths {
        let notice = told(path).await;
        assert!(notice.contains("October 2026 \u{2212}$50.00"), "{path}: {notice}");
    }
    // A day before all others was not known then.
    import("01.csv", &[line("2026-10-01", "7")], "2026-10-10T06:01:00Z").await;
    import("late-06.csv", &[line("2026-10-06", "3")], "2026-10-10T06:02:00Z").await;
    let notice = told(paths[0]).await;
    assert!(notice.contains("October 2026 \u{2212}$47.00"), "the 6th had settled: {notice}");
    // Where its history tells that its days keep arriving for three days, only the 5th had.
    sqlx::query("INSERT INTO source_settling (source_id, settles_after_days) SELECT source_id, 3 FROM source")
        .execute(&db)
        .await
        .unwrap();
    let notice = told(paths[0]).await;
    assert!(notice.contains("October 2026 \u{2212}$50.00"), "{notice}");
    world.assert_clean().await;
}

/// Days between others of which no file told are a gap: what fills it arrives, and restates nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_gap_that_is_filled_is_not_restated(db: PgPool) {
    let world = world(&db).await;
    world.add_appending("oci").await;
    let import = async |object: &str, day: &'static str, cost: &'static str, now: &str| {
        world.import_object(("oci", object), &[Line { cost, day, ..Line::default() }], now).await;
    };
    import("05.csv", "2026-10-05", "100", "2026-10-06T06:00:00Z").await;
    import("09.csv", "2026-10-09", "100", "2026-10-10T06:00:00Z").await;
    let finance = world.finance().await;
    let told = async || {
        let page = finance.get("/finance/statements/2026-10").await.body;
        texts(&page, "div.state.warn p").join(" ")
    };
    told().await;
    import("07.csv", "2026-10-07", "12000", "2026-10-11T06:00:00Z").await;
    let notice = told().await;
    assert!(!notice.contains("You saw publication"), "{notice}");
    import("late-05.csv", "2026-10-05", "3", "2026-10-11T06:01:00Z").await;
    let notice = told().await;
    assert!(notice.contains("October 2026 +$3.00"), "{notice}");
    world.assert_clean().await;
}

/// Pages of a service, a team, an environment and a dimension tell it within what they are about.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn pages_tell_what_was_restated_of_what_they_are_about(db: PgPool) {
    let world = world(&db).await;
    world.import(&october("100", "-1"), "2026-11-02T06:00:00Z").await;
    let setup = [
        "INSERT INTO team (slug, name) VALUES ('shop', 'Shop')",
        "INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production')
         ON CONFLICT DO NOTHING",
        "UPDATE service SET team_id = (SELECT team_id FROM team WHERE slug = 'shop') WHERE slug = 'checkout'",
    ];
    for statement in setup {
        sqlx::query(statement).execute(&db).await.unwrap();
    }
    let finance = world.finance().await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let rule = serde_json::json!({"applies_to": "charges", "service": "checkout", "environment": "production", "place": "first", "note": "All of it.",
        "conditions": [{"attribute": "tag:service", "operator": "equals", "value": "checkout"}]});
    let made = world.app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, axum::http::StatusCode::CREATED, "{}", made.body);
    let paths = [
        ("/services/checkout", "+$2.50"),
        ("/services/ledger", "+$7.00"),
        ("/teams/shop", "+$2.50"),
        ("/environments/production", "+$2.50"),
        ("/dimensions/product", "+$9.50"),
    ];
    for (path, _) in paths {
        assert!(!finance.get(path).await.body.contains("Restated since"), "{path}");
    }
    let again = [
        Line { cost: "102.5", ..Line::default() },
        Line { cost: "57.0000001", day: "2026-10-06", service: "ledger", ..Line::default() },
        Line { cost: "-1", category: "Credit", ..Line::default() },
    ];
    world.import(&again, "2026-11-03T06:00:00Z").await;
    for (path, change) in paths {
        let page = finance.get(path).await.body;
        let notice = texts(&page, "div.state.warn p").join(" ");
        assert!(notice.contains("October 2026") && notice.contains(change), "{path}: {notice}");
    }
}

/// From daily deliveries in which the day before is half there, a source learns to wait one day more.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn completeness_is_learned_from_the_history(db: PgPool) {
    let world = world(&db).await;
    let days: Vec<String> = (1..=30).map(|day| format!("2026-10-{day:02}")).collect();
    // Delivered on each morning: the day before holds half of its cost, older days all of it.
    for today in 2..=30_usize {
        let lines: Vec<Line> = days[..today - 1]
            .iter()
            .enumerate()
            .map(|(index, day)| Line {
                cost: if index + 2 == today { "5" } else { "10" },
                day: Box::leak(day.clone().into_boxed_str()),
                ..Line::default()
            })
            .collect();
        world.import(&lines, &format!("2026-10-{today:02}T06:00:00Z")).await;
    }
    let mut conn = db.acquire().await.unwrap();
    let source_id: i64 = sqlx::query_scalar("SELECT source_id FROM source").fetch_one(&db).await.unwrap();
    let learned = completeness::learned(&mut conn, source_id).await.unwrap();
    let shares: Vec<(i32, f64)> = learned.iter().map(|age| (age.age_days, age.median_share)).take(4).collect();
    assert_eq!(shares, [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.0)], "{learned:?}");
    let bills = freshness::read(&mut conn).await.unwrap();
    assert_eq!(bills.sources[0].settles_after_days, Some(2));
    assert_eq!(bills.complete_to(), "2026-10-28".parse().ok(), "the 29th is half there and still arriving");
    let page = world.finance().await.get(&format!("/sources/{source_id}")).await;
    assert!(page.body.contains("A day is taken for complete 2 days after it"), "{}", page.body);
    assert!(page.body.contains("50.0%"));
    world.assert_clean().await;
}

async fn learned(db: &PgPool) -> Vec<(i32, f64)> {
    let source_id: i64 = sqlx::query_scalar("SELECT source_id FROM source").fetch_one(db).await.unwrap();
    let learned = completeness::learned(&mut db.acquire().await.unwrap(), source_id).await.unwrap();
    learned.iter().map(|age| (age.age_days, age.median_share)).take(4).collect()
}

async fn settles_after_days(db: &PgPool) -> Option<i32> {
    sqlx::query_scalar("SELECT settles_after_days FROM source_settling").fetch_optional(db).await.unwrap()
}

fn day_of(index: usize) -> &'static str {
    Box::leak(format!("2026-10-{index:02}").into_boxed_str())
}

/// Of files that add up, what was there on a day is the sum of those that had come: half of a day's cost comes on the
/// next morning, the rest in a file of its own a morning later, and one of the files is written again once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn completeness_is_learned_from_files_that_add_up(db: PgPool) {
    let world = world(&db).await;
    world.add_appending("oci").await;
    for today in 2..=23_usize {
        let morning = format!("2026-10-{today:02}T06:00:00Z");
        for (kind, age) in [("first", 1), ("rest", 2)] {
            if today > age {
                let line = Line { cost: "5", day: day_of(today - age), ..Line::default() };
                let name = format!("{kind}-{:02}.csv", today - age);
                world.import_object(("oci", &name), &[line], &morning).await;
            }
        }
    }
    assert_eq!(learned(&db).await, [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.0)]);
    assert_eq!(settles_after_days(&db).await, Some(2));
    let again = Line { cost: "6", day: day_of(8), ..Line::default() };
    world.import_object(("oci", "first-08.csv"), &[again], "2026-10-23T07:00:00Z").await;
    assert_eq!(learned(&db).await, [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.0)], "one day of many, after ten days");
    world.assert_clean().await;
}

/// Of several exports all are looked at, whichever came last on a day: of one the day before is half there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn completeness_is_learned_from_several_exports(db: PgPool) {
    let world = world(&db).await;
    for today in 2..=23_usize {
        let lines = |service: &'static str, newest: &'static str| -> Vec<Line> {
            let cost = |day: usize| if day + 1 == today { newest } else { "10" };
            (1..today).map(|day| Line { cost: cost(day), day: day_of(day), service, ..Line::default() }).collect()
        };
        let at = |minute: u32| format!("2026-10-{today:02}T06:{minute:02}:00Z");
        world.import_export(("cloud-one", "whole"), &lines("checkout", "10"), &at(0)).await;
        world.import_export(("cloud-one", "half"), &lines("ledger", "5"), &at(1)).await;
    }
    assert_eq!(learned(&db).await, [(0, 0.0), (1, 0.75), (2, 1.0), (3, 1.0)]);
    assert_eq!(settles_after_days(&db).await, Some(2));
    world.assert_clean().await;
}

/// Months of history at once, then a bill each morning that holds whole days: a day is complete on the next morning, as
/// it was before anything was learned.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn whole_days_after_months_at_once_are_complete_on_the_next_morning(db: PgPool) {
    let world = world(&db).await;
    let made = [Made::new("checkout", |at| even_cents(0, at))];
    made_bills::import(&world, "2026-08", "2026-10-31", &made).await;
    for today in made_bills::days(made_bills::day("2026-11-02"), made_bills::day("2026-11-20")) {
        let yesterday = (today - chrono::Days::new(1)).to_string();
        made_bills::import_month(&world, "2026-11", &yesterday, &today.to_string(), &made).await;
        let bills = freshness::read(&mut db.acquire().await.unwrap()).await.unwrap();
        assert_eq!(bills.complete_to(), today.pred_opt(), "{:?}", learned(&db).await);
    }
    assert_eq!(settles_after_days(&db).await, Some(1));
    world.assert_clean().await;
}
