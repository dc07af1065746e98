//! Why spend changed: the rows add up to the change on every face, to the last digit.

use super::{BY, Line, column, decimal, month, sum, texts, time, world};
use costwake::rollup::close_month::close;
use costwake::rollup::rates;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

fn september() -> Vec<Line> {
    let line = Line { billed: "2026-09", day: "2026-09-05", ..Line::default() };
    vec![
        Line { cost: "100", ..line },
        Line { cost: "100", day: "2026-09-06", ..line },
        Line { cost: "40.0000001", service: "old", ..line },
        Line { cost: "-5", category: "Credit", ..line },
    ]
}

fn october() -> Vec<Line> {
    vec![
        // Half as much again was used, at 1.1 times the price, and a service is new.
        Line { cost: "110", ..Line::default() },
        Line { cost: "110", day: "2026-10-06", ..Line::default() },
        Line { cost: "110", day: "2026-10-07", ..Line::default() },
        Line { cost: "12.5", service: "new", ..Line::default() },
        Line { cost: "-7.25", category: "Credit", ..Line::default() },
        Line { cost: "3", category: "Tax", ..Line::default() },
        Line { cost: "900", currency: "JPY", ..Line::default() },
    ]
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_causes_add_up_on_every_face(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;

    let csv = finance.get("/why.csv?period=2026-10&cur=USD").await;
    let change = decimal("338.25") - decimal("235.0000001");
    assert_eq!(sum(&csv.body, "Amount"), change, "{}", csv.body);
    let rows: Vec<(String, f64)> = column(&csv.body, "Cause")
        .into_iter()
        .zip(column(&csv.body, "Amount").iter().map(|amount| amount.parse().unwrap()))
        .collect();
    let amount = |cause: &str| rows.iter().find(|row| row.0 == cause).map_or(0.0, |row| row.1);
    assert_eq!((amount("credits"), amount("tax")), (-2.25, 3.0));
    assert_eq!((amount("new-services"), amount("ended-services")), (12.5, -40.0000001));
    assert!(amount("list-price") > 20.0 && amount("volume") > 80.0, "{rows:?}");
    // Bills reach to the seventh day: as many days are compared as there are.
    assert_eq!(amount("calendar-days"), 0.0, "{rows:?}");
    assert_eq!(amount("not-explained"), 0.0, "{rows:?}");

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/why?period=2026-10", &token, Value::Null).await.json();
    let changes = api["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{api}");
    for change in changes {
        let sum: bigdecimal::BigDecimal =
            change["causes"].as_array().unwrap().iter().map(|row| decimal(row["amount"].as_str().unwrap())).sum();
        let of = |key: &str| decimal(change[key].as_str().unwrap());
        assert_eq!(sum, of("cost") - of("compared_cost"), "{change}");
    }

    // What is shown is rounded so that it still adds up.
    for path in ["/why?period=2026-10", "/services/checkout?period=2026-10", "/finance/statements/2026-10"] {
        let page = finance.get(path).await;
        let cells = texts(&page.body, "table.bridge tbody tr td.n:not(.hide-narrow)");
        assert!(cells.len() > 3, "{path}: {cells:?}");
        let tables = page.body.matches("aria-label=\"Causes table").count();
        assert!(tables > 0, "{path}");
    }
    let page = finance.get("/why?period=2026-10&cur=USD").await;
    let cells = texts(&page.body, "table.bridge tbody tr td.n:not(.hide-narrow)");
    let shown: Vec<bigdecimal::BigDecimal> =
        cells.iter().map(|cell| decimal(&cell.replace(['$', ',', '+', '±'], "").replace('\u{2212}', "-"))).collect();
    let (first, rest) = shown.split_first().unwrap();
    let (last, steps) = rest.split_last().unwrap();
    assert_eq!(&(first + steps.iter().sum::<bigdecimal::BigDecimal>()), last, "{cells:?}");
    assert!(page.body.contains("Not explained"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_closed_month_shows_what_was_restated_since(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    close(&world.app.state.pools, month("2026-09"), "In.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    let mut late = september();
    late[0].cost = "104.5";
    world.import(&late, "2026-11-11T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10?cur=USD").await;
    let causes = texts(&page.body, "[aria-label^='Causes table'] tbody tr");
    // The bills say 4.50 more of September than its statement: without it the change is that much larger.
    assert!(causes.iter().any(|row| row.contains("Restated after closing") && row.contains("+$4.50")), "{causes:?}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_member_is_told_of_own_teams_only(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let team_id: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('pay', 'Pay') RETURNING team_id")
        .fetch_one(&db)
        .await
        .unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'new'").bind(team_id).execute(&db).await.unwrap();
    let member = world.app.browser(Role::Member, false, &[team_id]).await;
    let csv = member.get("/why.csv?period=2026-10&cur=USD").await;
    assert_eq!(sum(&csv.body, "Amount"), decimal("12.5"), "{}", csv.body);
    assert!(member.get("/teams/pay?period=2026-10").await.body.contains("Why spend changed"));
    let other = world.app.browser(Role::Member, false, &[]).await.get("/why.csv?period=2026-10").await;
    assert_eq!(other.body.lines().count(), 1, "{}", other.body);
}

const RATES: &str = "Date,USD,JPY,\n2026-10-30,1.25,160,\n2026-09-30,1.6,N/A,\n";

/// Other rates are a cause of their own in the reporting currency; all causes add up on the page, in CSV and the API, by
/// charge day and by billing period, and a rate that is missing is said.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn other_rates_are_a_cause_of_their_own(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let before = finance.get("/why.csv?period=2026-10&cur=USD").await;
    assert!(!before.body.contains("ReportingCurrency"), "{}", before.body);
    let (pool, now) = (&world.app.state.pools.jobs, time("2026-11-20T10:00:00Z"));
    rates::set_reporting_currency(pool, "EUR", BY, now).await.unwrap();
    rates::import(pool, "rates.csv", RATES.into(), BY, now).await.unwrap();

    // 1 USD was 0.625 EUR and is 0.8 EUR: the cost of October at the difference. Yen came only now: at one rate.
    let change = decimal("338.25") * decimal("0.8") - decimal("235.0000001") * decimal("0.625");
    let all = &change + decimal("900") / decimal("160");
    let rates_alone = decimal("338.25") * decimal("0.175");
    for path in [
        "/why.csv?period=2026-10",
        "/finance/statements/2026-10/causes.csv",
        "/finance/statements/2026-10/causes.csv?view=charge",
    ] {
        let csv = finance.get(path).await;
        let reported: Vec<(String, bigdecimal::BigDecimal)> = column(&csv.body, "ReportingCurrency")
            .into_iter()
            .zip(column(&csv.body, "Cause").into_iter().zip(column(&csv.body, "Amount")))
            .filter(|(currency, _)| currency == "EUR")
            .map(|(_, (cause, amount))| (cause, decimal(&amount)))
            .collect();
        assert_eq!(
            reported.iter().map(|(_, amount)| amount).sum::<bigdecimal::BigDecimal>(),
            all,
            "{path}: {}",
            csv.body
        );
        let by_rates = reported.iter().find(|(cause, _)| cause == "exchange-rate").map(|(_, amount)| amount.clone());
        assert_eq!(by_rates, Some(rates_alone.clone()), "{path}");
        assert!(csv.body.contains("1 USD was 0.625 EUR in September 2026, 0.8 EUR in October 2026"), "{}", csv.body);
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for path in ["/api/v1/why?period=2026-10", "/api/v1/months/2026-10/why", "/api/v1/months/2026-10/why?view=charge"] {
        let api = world.app.api("GET", path, &token, Value::Null).await.json();
        let reporting = &api["reporting"];
        let of = |value: &Value| decimal(value.as_str().unwrap());
        assert_eq!(of(&reporting["cost"]) - of(&reporting["compared_cost"]), all, "{path}: {api}");
        let causes: bigdecimal::BigDecimal =
            reporting["causes"].as_array().unwrap().iter().map(|row| of(&row["amount"])).sum();
        assert_eq!(causes, all, "{path}");
        assert_eq!(api["compared_first_day"], "2026-09-01", "{api}");
    }
    for path in ["/why?period=2026-10", "/services/checkout?period=2026-10", "/finance/statements/2026-10"] {
        let page = finance.get(path).await;
        let rows = texts(&page.body, "[aria-label='Causes table, EUR, converted'] tbody tr");
        assert!(rows.iter().any(|row| row.contains("Exchange rates") && row.contains("0.625 EUR")), "{path}: {rows:?}");
    }
    rates::set_reporting_currency(pool, "CHF", BY, now).await.unwrap();
    let page = finance.get("/why?period=2026-10").await;
    assert!(page.body.contains("In CHF the causes are not known: there is no rate for"), "{}", page.body);
    let csv = finance.get("/why.csv?period=2026-10").await;
    assert!(csv.body.contains("ReportingCurrency") && !csv.body.contains("CHF"), "{}", csv.body);
}

/// The figure at the head of a page and the walk below it are the same, where both ends round against each other.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_head_of_a_page_and_its_walk_say_the_same(db: PgPool) {
    let world = world(&db).await;
    let line = Line { cost: "200.4", ..Line::default() };
    world.import(&[Line { billed: "2026-09", day: "2026-09-05", ..line }], "2026-10-02T06:00:00Z").await;
    // Of 0.2 a whole unit is shown, since 200 becomes 201.
    world.import(&[Line { cost: "200.6", ..line }], "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    for path in ["/services/checkout?period=2026-10", "/why?period=2026-10"] {
        let page = finance.get(path).await;
        assert!(page.body.contains("+$1 in USD"), "{path}: {}", page.body);
        let cells = texts(&page.body, "table.bridge tbody tr td.n:not(.hide-narrow)");
        assert_eq!((cells.first().unwrap().as_str(), cells.last().unwrap().as_str()), ("$200", "$201"), "{path}");
        let shown: Vec<bigdecimal::BigDecimal> = cells
            .iter()
            .map(|cell| decimal(&cell.replace(['$', ',', '+', '±'], "").replace('\u{2212}', "-")))
            .collect();
        let steps: bigdecimal::BigDecimal = shown[1..shown.len() - 1].iter().sum();
        assert_eq!(steps, decimal("1"), "{path}: {cells:?}");
        assert!(page.body.contains("rose $1"), "{path}");
    }
}

pub fn daily(
    month: &'static str,
    days: std::ops::RangeInclusive<u32>,
    cost: &'static str,
    service: &'static str,
) -> Vec<Line> {
    let line = |day: u32| Line {
        cost,
        billed: month,
        day: String::leak(format!("{month}-{day:02}")),
        service,
        ..Line::default()
    };
    days.map(line).collect()
}

pub fn amounts(csv: &str) -> Vec<(String, bigdecimal::BigDecimal)> {
    column(csv, "Cause").into_iter().zip(column(csv, "Amount").iter().map(|amount| decimal(amount))).collect()
}

pub fn amount(rows: &[(String, bigdecimal::BigDecimal)], cause: &str) -> bigdecimal::BigDecimal {
    rows.iter().filter(|row| row.0 == cause).map(|row| row.1.clone()).sum()
}

/// A month of which half is billed, as much a day as before: what is missing of it is days to come. Nothing was saved.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_rest_of_an_open_month_is_no_saving(db: PgPool) {
    let world = world(&db).await;
    // What is billed once a month, on its first day, is known whole.
    let mut whole = daily("2026-10", 1..=31, "10", "checkout");
    whole.extend(daily("2026-10", 1..=1, "60", "license"));
    world.import(&whole, "2026-11-01T06:00:00Z").await;
    let mut half = daily("2026-11", 1..=15, "10", "checkout");
    half.extend(daily("2026-11", 1..=1, "60", "license"));
    // The sixteenth is arriving.
    half.push(Line { cost: "4", billed: "2026-11", day: "2026-11-16", ..Line::default() });
    world.import(&half, "2026-11-16T12:00:00Z").await;
    let finance = world.finance().await;
    for view in ["", "?view=charge"] {
        let csv = finance.get(&format!("/finance/statements/2026-11/causes.csv{view}")).await.body;
        let rows = amounts(&csv);
        assert_eq!(rows.iter().map(|row| row.1.clone()).sum::<bigdecimal::BigDecimal>(), decimal("-156"), "{csv}");
        let calendar = amount(&rows, "calendar-days");
        assert!(decimal("-8") < calendar && calendar < decimal("-6"), "one day fewer of thirty: {csv}");
        // Fifteen days of ten, less the four that have arrived.
        let rest = amount(&rows, "days-to-come") + calendar;
        assert!((rest - decimal("-156")).abs() < decimal("0.000001"), "{csv}");
        for cause in ["efficiency", "volume", "mix", "allocation-rules", "not-explained"] {
            assert!(amount(&rows, cause).abs() < decimal("0.000001"), "{cause}: {csv}");
        }
        assert!(csv.contains("15 days still to come") && csv.contains("bills are complete for 15 of 30 days"), "{csv}");
        assert!(csv.contains("30 days against 31"), "{csv}");
    }
    let page = finance.get("/finance/statements/2026-11").await.body;
    assert!(page.contains("15 days still to come"), "{page}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/months/2026-11/why", &token, Value::Null).await.json();
    assert!(api["notes"][0].as_str().is_some_and(|note| note.contains("complete to 15 Nov 2026")), "{api}");
}

/// Any two periods: a month or days stand beside "the period before"; days of both are refused.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn any_two_periods_are_compared(db: PgPool) {
    let world = world(&db).await;
    world.import(&daily("2026-08", 1..=31, "7", "checkout"), "2026-09-01T06:00:00Z").await;
    world.import(&daily("2026-10", 1..=31, "10", "checkout"), "2026-11-01T06:00:00Z").await;
    let finance = world.finance().await;
    for (vs, before, label) in [
        ("2026-08", "217", "August 2026"),
        ("2026-08-01..2026-08-15", "105", "1 to 15 Aug 2026"),
        ("2026-08-30..2026-08-31", "14", "30 to 31 Aug 2026"),
    ] {
        let query = format!("period=2026-10&vs={vs}");
        let csv = finance.get(&format!("/why.csv?{query}")).await.body;
        let total: bigdecimal::BigDecimal = amounts(&csv).into_iter().map(|row| row.1).sum();
        assert_eq!(total, decimal("310") - decimal(before), "{csv}");
        let page = finance.get(&format!("/why?{query}")).await.body;
        assert!(page.contains(&format!("Filters: October 2026 against {label}")), "{page}");
        assert!(page.contains(&format!("name=\"vs\" value=\"{vs}\"")), "{page}");
        let token = world.app.token(TokenScope::Read, Role::Finance).await;
        let api = world.app.api("GET", &format!("/api/v1/why?{query}"), &token, Value::Null).await.json();
        assert_eq!(decimal(api["changes"][0]["compared_cost"].as_str().unwrap()), decimal(before), "{api}");
    }
    // Of September there is no bill.
    let unknown = finance.get("/why?period=2026-10&vs=2026-08-30..2026-09-02").await.body;
    assert!(unknown.contains("no bills for September 2026, so nothing to compare with"), "{unknown}");
    // The later may be the one that is compared with.
    let turned = finance.get("/why.csv?period=2026-08&vs=2026-10").await.body;
    assert_eq!(
        amounts(&turned).into_iter().map(|row| row.1).sum::<bigdecimal::BigDecimal>(),
        decimal("-93"),
        "{turned}"
    );
    let overlap = finance.get("/why?period=2026-10&vs=2026-09-15..2026-10-02").await;
    assert_eq!(overlap.status, 400);
    assert!(overlap.body.contains("Name two periods that share no day."), "{}", overlap.body);
    let wrong = finance.get("/why?vs=later").await;
    assert!(wrong.status == 400 && wrong.body.contains("prev, py, 2026-09, 2026-08-01..2026-08-15"), "{}", wrong.body);
}

/// Traffic of one service says nothing of requests where others spend too; and the sentence has the row's amount.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn traffic_is_told_of_the_service_that_has_it(db: PgPool) {
    let world = world(&db).await;
    for (month, cost, now) in [("2026-09", "10.3", "2026-10-01T06:00:00Z"), ("2026-10", "12.4", "2026-11-01T06:00:00Z")]
    {
        let mut lines = daily(month, 1..=30, cost, "checkout");
        lines.extend(daily(month, 1..=30, "1.1", "search"));
        world.import(&lines, now).await;
    }
    let values = (1..=30).flat_map(|day| {
        [format!("requests,checkout,2026-09-{day:02},1000"), format!("requests,checkout,2026-10-{day:02},1200")]
    });
    let text = format!("metric,service,day,value\n{}\n", values.collect::<Vec<_>>().join("\n"));
    costwake::rollup::metrics_import::import(
        &world.app.state.pools,
        text.as_bytes(),
        "test",
        "",
        time("2026-11-02T06:00:00Z"),
    )
    .await
    .unwrap();
    let finance = world.finance().await;
    let query = "period=2026-10-01..2026-10-30&vs=2026-09";
    let all = finance.get(&format!("/why.csv?{query}")).await.body;
    assert!(all.contains("More traffic or use") && all.contains("requests of 1 service"), "{all}");
    assert!(!all.contains("requests a day against"), "{all}");
    let own = finance.get(&format!("/why.csv?{query}&service=checkout")).await.body;
    assert!(own.contains("1,200 requests a day against 1,000"), "{own}");
    let page = finance.get(&format!("/why?{query}")).await.body;
    let lede = texts(&page, ".lede").join(" ");
    let (label, shown) = lede.split_once("the largest part: ").unwrap().1.split_once(" (").unwrap();
    let shown = shown.split_once(')').unwrap().0;
    let rows = texts(&page, "table.bridge tbody tr");
    let row = rows.iter().find(|row| row.to_lowercase().contains(label)).unwrap_or_else(|| panic!("{lede}: {rows:?}"));
    assert!(row.contains(shown), "{shown} in {row}");

    // The overview names the same cause of the service, in the same words.
    let days = "period=2026-10-01..2026-10-30";
    let page = finance.get(&format!("/why?{days}&service=checkout")).await.body;
    let lede = texts(&page, ".lede").join(" ");
    let (label, shown) = lede.split_once("the largest part: ").unwrap().1.split_once(" (").unwrap();
    let told = format!("{}{}, {}", label[..1].to_uppercase(), &label[1..], shown.split_once(')').unwrap().0);
    let overview = finance.get(&format!("/?{days}")).await.body;
    let causes = texts(&overview, "td.break a");
    assert!(causes.contains(&told), "{told}: {causes:?}");
}

/// A service that costs the same on busy days and on quiet ones is no more efficient for half as many requests again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn fixed_cost_is_no_efficiency(db: PgPool) {
    let world = world(&db).await;
    for (month, other, now) in [("2026-09", "1.1", "2026-10-01T06:00:00Z"), ("2026-10", "1.2", "2026-11-01T06:00:00Z")]
    {
        let mut lines = daily(month, 1..=30, "100.3", "checkout");
        lines.extend(daily(month, 1..=30, other, "search"));
        world.import(&lines, now).await;
    }
    let values = (1..=30).flat_map(|day| {
        let requests = if day % 2 == 0 { 800 } else { 1200 };
        let later = requests * 3 / 2;
        [
            format!("requests,checkout,2026-09-{day:02},{requests}"),
            format!("requests,checkout,2026-10-{day:02},{later}"),
        ]
    });
    let text = format!("metric,service,day,value\n{}\n", values.collect::<Vec<_>>().join("\n"));
    let (pools, now) = (&world.app.state.pools, time("2026-11-02T06:00:00Z"));
    costwake::rollup::metrics_import::import(pools, text.as_bytes(), "test", "", now).await.unwrap();
    let finance = world.finance().await;
    let csv = finance.get("/why.csv?period=2026-10-01..2026-10-30&vs=2026-09").await.body;
    assert_eq!(sum(&csv, "Amount"), decimal("3"), "{csv}");
    let causes = column(&csv, "Cause");
    assert!(!causes.iter().any(|cause| cause == "volume" || cause == "efficiency"), "{csv}");
}

/// What a service that is billed in another currency is used for says nothing in the walk of this one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn traffic_is_told_in_the_currency_that_its_service_is_billed_in(db: PgPool) {
    let world = world(&db).await;
    for (month, cost, now) in [("2026-09", "10.3", "2026-10-01T06:00:00Z"), ("2026-10", "12.4", "2026-11-01T06:00:00Z")]
    {
        let mut lines = daily(month, 1..=30, cost, "checkout");
        lines.extend(daily(month, 1..=30, cost, "search").into_iter().map(|line| Line { currency: "EUR", ..line }));
        world.import(&lines, now).await;
    }
    let values = (1..=30).flat_map(|day| {
        [("orders", "checkout"), ("requests", "search")].map(|(metric, service)| {
            format!("{metric},{service},2026-09-{day:02},1000\n{metric},{service},2026-10-{day:02},1200")
        })
    });
    let text = format!("metric,service,day,value\n{}\n", values.collect::<Vec<_>>().join("\n"));
    let (pools, now) = (&world.app.state.pools, time("2026-11-02T06:00:00Z"));
    costwake::rollup::metrics_import::import(pools, text.as_bytes(), "test", "", now).await.unwrap();
    let finance = world.finance().await;
    let csv = finance.get("/why.csv?period=2026-10-01..2026-10-30&vs=2026-09").await.body;
    let walk = |currency: &str| csv.lines().filter(|row| row.starts_with(currency)).collect::<Vec<_>>().join("\n");
    let (eur, usd) = (walk("EUR"), walk("USD"));
    assert!(eur.contains("requests of 1 service") && eur.contains("Less used for each request"), "{csv}");
    assert!(usd.contains("orders of 1 service") && usd.contains("Less used for the same volume"), "{csv}");
}
