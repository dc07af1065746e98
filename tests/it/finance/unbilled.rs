//! Months of which nothing is billed: they say so, and are no saving of a hundred percent.

use super::{Line, World, bill, column, texts, world};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn api(world: &World, path: &str) -> Value {
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    world.app.api("GET", path, &token, Value::Null).await.json()
}

// Two sources billed August, one of them goes on in November.
async fn with_a_gap(db: &PgPool) -> World {
    let world = world(db).await;
    let august = Line { cost: "80", billed: "2026-08", day: "2026-08-05", ..Line::default() };
    world.import_as("cloud-one", &bill(&[august]), "2026-09-02T06:00:00Z").await;
    world.import_as("saas-one", &bill(&[Line { cost: "8", ..august }]), "2026-09-02T06:00:00Z").await;
    let november = ["2026-11-02", "2026-11-18"].map(|day| Line { cost: "9", billed: "2026-11", day, ..august });
    world.import_as("cloud-one", &bill(&november), "2026-11-19T06:00:00Z").await;
    world
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_that_no_source_billed_is_not_called_whole(db: PgPool) {
    let world = with_a_gap(&db).await;
    let finance = world.finance().await;
    let said = "No source has billed this month. The last bills before it are those of cloud-one for August 2026, saas-one \
                for August 2026.";
    for month in ["2026-09", "2026-10"] {
        let page = finance.get(&format!("/finance/statements/{month}")).await.body;
        assert!(page.contains(said) && page.contains("<span>No bill</span>"), "{month}: {page}");
        assert!(!page.contains("Every source has billed"), "{month}: {page}");
        let body = api(&world, &format!("/api/v1/months/{month}")).await;
        assert_eq!((body["state"].as_str(), body["sentence"].as_str()), (Some("bills-missing"), Some(said)));
        let ask = finance.get(&format!("/finance/statements/{month}/close")).await.body;
        assert!(ask.contains(said), "{month}: {ask}");
    }
    // The month before was billed, and this one is no fall from it.
    let page = finance.get("/finance/statements/2026-09").await.body;
    assert_eq!(texts(&page, ".lede"), ["Nothing is billed in USD for September 2026."]);
    assert!(page.contains("There are no bills for September 2026, so nothing to compare with."), "{page}");
    let listed = api(&world, "/api/v1/months").await;
    let states: Vec<(&str, &str)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|month| (month["billing_month"].as_str().unwrap(), month["state"].as_str().unwrap()))
        .collect();
    let expected =
        [("2026-11", "open"), ("2026-10", "bills-missing"), ("2026-09", "bills-missing"), ("2026-08", "bills-in")];
    assert_eq!(states, expected);
    // Before the first bill there is nobody to name.
    let page = finance.get("/finance/statements/2026-06").await.body;
    let said = "No source has billed this month. What is not known is never written as zero.";
    assert!(texts(&page, ".state p").iter().any(|text| text == said), "{page}");
}

/// On its page, in its files and in the API: what it costs is not known, and there is no change.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_running_month_without_a_bill_is_no_fall(db: PgPool) {
    let world = world(&db).await;
    world.import(&[Line { cost: "100", ..Line::default() }], "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let why = "no bills for November 2026 yet, so nothing to compare with";
    for view in ["billing", "charge"] {
        let page = finance.get(&format!("/finance/statements/2026-11?view={view}")).await.body;
        assert_eq!(texts(&page, ".lede"), ["Nothing is billed in USD for November 2026 yet."]);
        assert!(page.contains("The month is open and has no bill yet."), "{page}");
        assert!(page.contains(&format!("There are {why}.")) && !page.contains("Why spend changed"), "{page}");
        assert!(texts(&page, "table.bridge").is_empty(), "{page}");
        assert_eq!(texts(&page, ".figures div")[0], "Net cost not billed October 2026: $100.00");
        let rows = texts(&page, "[aria-label^='Breakdown table'] tbody tr");
        let is_unknown = |row: &String| {
            ["$100.00 not billed", "not known"].iter().all(|text| row.contains(text)) && !row.contains('%')
        };
        assert!(!rows.is_empty() && rows.iter().all(is_unknown), "{rows:?}");
        let csv = finance.get(&format!("/finance/statements/2026-11.csv?view={view}")).await.body;
        assert_eq!(column(&csv, "EffectiveCost 2026-10"), ["100"], "{csv}");
        for name in ["EffectiveCost 2026-11", "Change"] {
            assert_eq!(column(&csv, name), [""], "{name}: {csv}");
        }
        let causes = finance.get(&format!("/finance/statements/2026-11/causes.csv?view={view}")).await.body;
        assert_eq!(causes.lines().count(), 1, "{causes}");
        let told = api(&world, &format!("/api/v1/months/2026-11/why?view={view}")).await;
        assert_eq!(told["changes"], json!([]), "{told}");
        assert_eq!(told["notes"][0], format!("There is no change to explain: {why}."), "{told}");
    }
    let costs = api(&world, "/api/v1/costs?view=billing&period=2026-11").await;
    assert_eq!((&costs["rows"], &costs["totals"]), (&json!([]), &json!([])), "{costs}");
    assert_eq!(costs["notes"], json!(["No current bill is for November 2026: what it costs is not known."]));
    // Overview and the list of months are of what is billed.
    for path in ["/?period=2026-11", "/?period=mtd", "/finance/statements"] {
        let lede = texts(&finance.get(path).await.body, ".lede").join(" ");
        assert!(!lede.contains("100%") && !lede.contains("100.0%") && !lede.contains("$0"), "{path}: {lede}");
    }
}

/// A currency whose bill is still to come is no fall either, beside one that is billed.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_that_is_not_billed_yet_is_no_fall(db: PgPool) {
    let world = world(&db).await;
    let euros = Line { cost: "9", currency: "EUR", ..Line::default() };
    world.import(&[Line { cost: "100", ..Line::default() }, euros], "2026-11-02T06:00:00Z").await;
    let november = [("10", "2026-11-02"), ("20", "2026-11-15")].map(|(cost, day)| Line {
        cost,
        billed: "2026-11",
        day,
        ..Line::default()
    });
    world.import(&november, "2026-11-16T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-11").await.body;
    let lede = texts(&page, ".lede").join(" ");
    let said = "Net cost so far was $30.00. Its first 15 days of 30 cost $30.00, which is $70.00 (70.0%) less than the \
        first 15 days of October 2026.";
    assert!(lede.starts_with(said), "{lede}");
    assert!(lede.ends_with("Nothing is billed in EUR for November 2026 yet."), "{lede}");
    let why = "no bills in EUR for November 2026 yet, so nothing to compare with";
    assert!(page.contains(&format!("There are {why}.")), "{page}");
    assert_eq!(page.matches("Why spend changed").count(), 1, "{page}");
    let csv = finance.get("/finance/statements/2026-11.csv").await.body;
    assert_eq!(column(&csv, "BillingCurrency"), ["EUR", "USD"], "{csv}");
    assert_eq!(column(&csv, "EffectiveCost 2026-10"), ["9", "100"], "{csv}");
    assert_eq!(column(&csv, "EffectiveCost 2026-11"), ["", "30"], "{csv}");
    assert_eq!(column(&csv, "Change"), ["", "-70"], "{csv}");
    let told = api(&world, "/api/v1/months/2026-11/why").await;
    let currencies: Vec<&Value> =
        told["changes"].as_array().unwrap().iter().map(|one| &one["billing_currency"]).collect();
    assert_eq!(currencies, ["USD"], "{told}");
    assert_eq!(told["notes"][0], format!("There is no change to explain: {why}."), "{told}");
    let causes = finance.get("/finance/statements/2026-11/causes.csv").await.body;
    assert!(!causes.contains("EUR") && causes.contains("USD"), "{causes}");
    // By charge day no bill tells of it either: neither total is zero.
    let page = finance.get("/finance/statements/2026-11?view=charge").await.body;
    assert!(texts(&page, ".lede").join(" ").ends_with("Nothing is billed in EUR for November 2026 yet."), "{page}");
    let invoiced = texts(&page, "tr.open");
    assert!(invoiced.iter().any(|row| row == "By billing period: what the invoices say not billed"), "{invoiced:?}");
    let figures = texts(&page, ".figures div");
    for name in ["Net cost", "By billing period"] {
        assert!(figures.iter().any(|text| text.starts_with(&format!("{name} not billed"))), "{figures:?}");
    }
}

// A team that has this service alone.
async fn team_of_checkout(db: &PgPool) -> i64 {
    let sql = "WITH made AS (INSERT INTO team (slug, name) VALUES ('shop', 'Shop') RETURNING team_id), owned AS (
                   UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout')
               SELECT team_id FROM made";
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

/// Nor is it one to those who see the cost of a team only, as long as nobody has a bill in it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_that_nobody_has_a_bill_in_is_no_fall_of_a_team(db: PgPool) {
    let world = world(&db).await;
    let [dollars, euros] =
        [("100", "USD"), ("9", "EUR")].map(|(cost, currency)| Line { cost, currency, ..Line::default() });
    world.import(&[dollars, euros], "2026-11-02T06:00:00Z").await;
    let team = team_of_checkout(&db).await;
    let member = world.app.browser(Role::Member, false, &[team]).await;
    let november = Line { cost: "30", billed: "2026-11", day: "2026-11-02", ..Line::default() };
    let later = Line { day: "2026-11-15", ..november };
    world.import(&[november, later], "2026-11-16T06:00:00Z").await;
    for view in ["billing", "charge"] {
        let page = member.get(&format!("/finance/statements/2026-11?view={view}")).await.body;
        let lede = texts(&page, ".lede").join(" ");
        assert!(lede.ends_with("Nothing is billed in EUR for November 2026 yet."), "{view}: {lede}");
        assert!(!page.contains("100.0%)"), "{view}: {page}");
        let figures = texts(&page, ".figures div").join(" ");
        assert!(figures.contains("not billed") && !figures.contains("€0.00"), "{view}: {figures}");
        let csv = member.get(&format!("/finance/statements/2026-11.csv?view={view}")).await.body;
        assert_eq!(column(&csv, "Change"), ["", "-40"], "{view}: {csv}");
    }
    // Another team has a bill in euros: this one has none, and that is known.
    let other = Line { currency: "EUR", service: "ledger", ..later };
    world.import(&[november, later, other], "2026-11-17T06:00:00Z").await;
    for view in ["billing", "charge"] {
        let page = member.get(&format!("/finance/statements/2026-11?view={view}")).await.body;
        let lede = texts(&page, ".lede").join(" ");
        let said = "Net cost so far was €0.00. Its first 15 days of 30 cost €0.00, which is €9.00 (100.0%) less than";
        assert!(lede.contains(said), "{view}: {lede}");
        let csv = member.get(&format!("/finance/statements/2026-11.csv?view={view}")).await.body;
        assert_eq!(column(&csv, "Change"), ["-9", "-40"], "{view}: {csv}");
    }
}

/// Nor by charge day where lines of others on a bill before tell of those days: the bill of the month is not there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_that_others_have_on_bills_before_is_no_fall_of_a_team(db: PgPool) {
    let world = world(&db).await;
    let euros = Line { cost: "9", currency: "EUR", ..Line::default() };
    let ahead = Line { cost: "4", day: "2026-11-03", service: "ledger", ..euros };
    world.import(&[Line { cost: "100", ..Line::default() }, euros, ahead], "2026-11-02T06:00:00Z").await;
    let team = team_of_checkout(&db).await;
    let member = world.app.browser(Role::Member, false, &[team]).await;
    let november =
        ["2026-11-02", "2026-11-15"].map(|day| Line { cost: "30", billed: "2026-11", day, ..Line::default() });
    world.import(&november, "2026-11-16T06:00:00Z").await;
    for view in ["billing", "charge"] {
        let page = member.get(&format!("/finance/statements/2026-11?view={view}")).await.body;
        let lede = texts(&page, ".lede").join(" ");
        assert!(lede.ends_with("Nothing is billed in EUR for November 2026 yet."), "{view}: {lede}");
        let figures = texts(&page, ".figures div").join(" ");
        assert!(!page.contains("100.0%)") && !figures.contains("€0.00"), "{view}: {figures}");
        let csv = member.get(&format!("/finance/statements/2026-11.csv?view={view}")).await.body;
        assert_eq!(column(&csv, "EffectiveCost 2026-11"), ["", "60"], "{view}: {csv}");
        assert_eq!(column(&csv, "Change"), ["", "-40"], "{view}: {csv}");
    }
    // Those who see all see what there is.
    let page = world.finance().await.get("/finance/statements/2026-11?view=charge&cur=EUR").await.body;
    assert!(texts(&page, ".figures div").iter().any(|text| text.starts_with("Net cost €4.00")), "{page}");
}

/// By charge day the lines of other bills tell of a currency that no bill of the month has yet.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_of_other_bills_alone_has_no_invoice_of_zero(db: PgPool) {
    let world = world(&db).await;
    let euros = Line { cost: "9", currency: "EUR", ..Line::default() };
    let ahead = Line { cost: "4", day: "2026-11-03", ..euros };
    world.import(&[Line { cost: "100", ..Line::default() }, euros, ahead], "2026-11-02T06:00:00Z").await;
    let november =
        ["2026-11-02", "2026-11-15"].map(|day| Line { cost: "30", billed: "2026-11", day, ..Line::default() });
    world.import(&november, "2026-11-16T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-11?view=charge&cur=EUR").await.body;
    let figures = texts(&page, ".figures div");
    assert!(figures.iter().any(|text| text.starts_with("Net cost €4.00")), "{figures:?}");
    assert!(figures.iter().any(|text| text.starts_with("By billing period not billed")), "{figures:?}");
    let page = finance.get("/finance/statements/2026-11?cur=EUR").await.body;
    let figures = texts(&page, ".figures div");
    assert!(figures.iter().any(|text| text.starts_with("Net cost not billed")), "{figures:?}");
    assert!(figures.iter().any(|text| text.starts_with("By charge day €4.00")), "{figures:?}");
}

// How far the bills of a month have come.
async fn sentence(world: &World, month: &str) -> String {
    let body = api(world, &format!("/api/v1/months/{month}")).await;
    body["sentence"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// Each currency is as far as the sources that bill in it, and a source without a bill is complete to no day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_reaches_as_far_as_its_own_sources(db: PgPool) {
    let world = world(&db).await;
    let euros = Line { currency: "EUR", ..Line::default() };
    for (source, line, last, now) in [
        ("cloud-one", Line::default(), "2026-11-19", "2026-11-20T06:00:00Z"),
        ("edge-one", euros, "2026-11-16", "2026-11-17T06:00:00Z"),
    ] {
        let days = ["2026-11-02", last].map(|day| Line { billed: "2026-11", day, ..line });
        world.import_as(source, &bill(&days), now).await;
    }
    sqlx::query("INSERT INTO source (name) VALUES ('empty-one')").execute(&db).await.unwrap();
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-11").await.body;
    let reached =
        |currency: &str| texts(&page, &format!("[aria-label='How far the month is in {currency}'] li"))[0].clone();
    assert_eq!(reached("USD"), "Open The month is open: bills reach 19 Nov 2026.");
    assert_eq!(reached("EUR"), "Open The month is open: bills reach 16 Nov 2026.");
    let page = finance.get("/finance/statements/2026-11?cur=EUR").await.body;
    assert!(texts(&page, ".steps")[0].contains("bills reach 16 Nov 2026"), "{page}");
    let said = "The month is open: bills reach 16 Nov 2026 in EUR, 19 Nov 2026 in USD.";
    assert_eq!(sentence(&world, "2026-11").await, said);
    let reach = api(&world, "/api/v1/months/2026-11").await["reach"].clone();
    let each = serde_json::json!([{"source": "cloud-one", "complete_to": "2026-11-19"},
        {"source": "edge-one", "complete_to": "2026-11-16"}]);
    assert_eq!(reach, each);
    let months = api(&world, "/api/v1/months").await;
    let currencies = json!([
        {"billing_currency": "EUR", "state": "open", "complete_to": "2026-11-16"},
        {"billing_currency": "USD", "state": "open", "complete_to": "2026-11-19"},
    ]);
    assert_eq!((&months[0]["sentence"], &months[0]["currencies"]), (&json!(said), &currencies));
    let list = finance.get("/finance/statements").await.body;
    assert!(texts(&list, ".lede")[0].ends_with(said), "{list}");
    let rows = texts(&list, "[aria-label='Months table'] tbody td");
    assert!(rows.iter().any(|cell| cell.starts_with("EUR") && cell.contains("bills to 16 Nov 2026")), "{rows:?}");
    let list = finance.get("/finance/statements?cur=USD").await.body;
    assert!(texts(&list, ".lede")[0].ends_with("The month is open: bills reach 19 Nov 2026."), "{list}");
    let page = finance.get("/sources").await.body;
    let said = "1 of 2 sources is complete to Thu 19 Nov 2026, edge-one to Mon 16 Nov 2026; 1 has no bill yet. edge-one is \
                late.";
    assert_eq!(texts(&page, ".lede"), [said]);
}

/// A bill without a line says that nothing is charged: its month is billed.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_bill_without_a_line_is_a_bill(db: PgPool) {
    let world = world(&db).await;
    let november =
        ["2026-11-02", "2026-11-15"].map(|day| Line { cost: "9", billed: "2026-11", day, ..Line::default() });
    world.import(&november, "2026-11-19T06:00:00Z").await;
    assert_eq!(sentence(&world, "2026-09").await, "No source has billed this month.");
    let sql = "INSERT INTO generation (generation_id, delivery_id, source_id, billing_account_id, billing_period_start,
                   billing_period_end, state)
               SELECT 900000000 + extract(month FROM first_day)::bigint, delivery_id, source_id, 'acct-2', first_day,
                   (first_day + interval '1 month')::date, 'current'
               FROM generation, unnest('{2026-09-01,2026-11-01}'::date[]) AS first_day WHERE state = 'current'";
    sqlx::query(sql).execute(&db).await.unwrap();
    assert_eq!(sentence(&world, "2026-09").await, "Every source has billed the whole month.");
    // Where another account has lines, they tell how far the source has come.
    assert_eq!(sentence(&world, "2026-11").await, "The month is open: bills reach 15 Nov 2026.");
    let sql = "UPDATE generation SET charge_count = 0, first_charge_date = NULL, last_charge_date = NULL";
    sqlx::query(sql).execute(&db).await.unwrap();
    assert_eq!(sentence(&world, "2026-11").await, "The month is open: bills reach 18 Nov 2026.");
}

/// Many sources with years of bills: the oldest month is known too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_month_of_many_sources_is_billed(db: PgPool) {
    let world = world(&db).await;
    world.import(&[Line::default()], "2026-11-02T06:00:00Z").await;
    let sql = "INSERT INTO source (name) SELECT 'many-' || number FROM generate_series(1, 140) AS number";
    sqlx::query(sql).execute(&db).await.unwrap();
    let sql = "INSERT INTO generation (generation_id, delivery_id, source_id, billing_account_id, billing_period_start,
                   billing_period_end, state, charge_count, first_charge_date, last_charge_date)
               SELECT 900000000 + row_number() OVER (), (SELECT min(delivery_id) FROM delivery), source_id, 'acct-1',
                   first_day::date, (first_day + interval '1 month')::date, 'current', 1, first_day::date, first_day::date
               FROM source, generate_series(timestamp '2023-11-01', timestamp '2026-10-01', interval '1 month') AS first_day
               WHERE name LIKE 'many-%'";
    let made = sqlx::query(sql).execute(&db).await.unwrap().rows_affected();
    assert_eq!(made, 140 * 36);
    assert_eq!(sentence(&world, "2026-10").await, "Every source has billed the whole month.");
    for month in ["2023-11", "2024-02"] {
        let said = sentence(&world, month).await;
        assert!(
            said.contains(" and 136 more have billed the whole month. 1 other source has no bill"),
            "{month}: {said}"
        );
    }
}
