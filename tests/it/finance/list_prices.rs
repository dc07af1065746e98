//! List and contracted prices, in statements and on all other pages: what was bought for commitments is in the cost of what
//! uses it, and not added to it.

use super::drill::{figure, select};
use super::{BY, World, column, decimal, month, sum, texts, time, world};
use crate::support::TestApp;
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::rollup::close_month::close;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use scraper::Html;
use serde_json::{Value, json};
use sqlx::PgPool;

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,ServiceName,SubAccountId,ResourceId,\
RegionId,SkuId,PricingCategory,PricingQuantity,PricingUnit,CommitmentDiscountId,CommitmentDiscountStatus,\
CommitmentDiscountType,CommitmentDiscountCategory,Tags";

/// Costs (billed, in effect, at list price, contracted), category, pricing, and commitment.
type Bought = (&'static str, &'static str, &'static str, &'static str);

const USE: Bought = ("20,20,25,20", "Usage", "Standard", ",,,");
const COVERED: Bought = ("0,60,100,90", "Usage", "Committed", "plan-1,Used,Savings plan,Spend");
const PLAN: Bought = ("60,0,60,60", "Purchase", "Standard", "plan-1,,Savings plan,Spend");
const DEARER_PLAN: Bought = ("80,0,80,80", "Purchase", "Standard", "plan-1,,Savings plan,Spend");
/// Bought too, but nothing that is used has it in its price.
const LICENSE: Bought = ("7,7,7,7", "Purchase", "Standard", ",,,");

async fn import(world: &World, (month, next): (&str, &str), lines: &[Bought], now: &str) {
    let mut file = format!("{HEADER}\n");
    for (costs, category, pricing, commitment) in lines {
        file.push_str(&format!(
            "{costs},USD,acct-1,{month}-01T00:00:00Z,{next}-01T00:00:00Z,{month}-01T00:00:00Z,{month}-02T00:00:00Z,\
             {category},,Some line,Usage-Based,Cloud One,Cloud One,Cloud One,Compute,Machines,sub-1,vm-1,eu-1,sku-1,\
             {pricing},1,Hours,{commitment},\"{{\"\"service\"\":\"\"checkout\"\"}}\"\n"
        ));
    }
    world.import_text(&file, now).await;
}

fn purchases(csv: &str, column_name: &str) -> BigDecimal {
    let names = column(csv, "Charge category");
    let costs = column(csv, column_name);
    names.iter().zip(&costs).filter(|(name, _)| *name == "Purchase").map(|(_, cost)| decimal(cost)).sum()
}

// October in a basis and in both views: page, file, causes.
async fn assert_says(world: &World, (basis, focus, name): (&str, &str, &str), total: &str, rise: &str) {
    let finance = world.finance().await;
    for view in ["billing", "charge"] {
        let query = format!("basis={basis}&view={view}&by=charge");
        let page = finance.get(&format!("/finance/statements/2026-10?{query}")).await.body;
        let figures = texts(&page, ".figures div");
        assert!(figures[0].starts_with(&format!("{name} ${total}.00")), "{query}: {figures:?}");
        let all = texts(&page, "[aria-label^='Breakdown table'] tr.total").join(" ");
        assert!(all.starts_with(&format!("Total {} ", name.to_lowercase())) && all.contains(total), "{query}: {all}");
        let tied = texts(&page, "[aria-label^='Bills table'] tr.total").join(" ");
        // A closed month ties by what came after closing.
        let ties = [format!("${total}.00 ${total}.00 delivered"), format!("${total}.00 ±$0.00 ${total}.00")];
        assert!(ties.iter().any(|text| tied.contains(text)), "{query}: {tied}");
        let csv = finance.get(&format!("/finance/statements/2026-10.csv?{query}")).await.body;
        assert_eq!(sum(&csv, &format!("{focus} 2026-10")), decimal(total), "{query}: {csv}");
        let causes = finance.get(&format!("/finance/statements/2026-10/causes.csv?basis={basis}&view={view}")).await;
        assert_eq!(sum(&causes.body, "Amount"), decimal(rise), "{query}: {}", causes.body);
        assert!(!causes.body.contains("restatement"), "{query}: {}", causes.body);
        let list = finance.get(&format!("/finance/statements.csv?basis={basis}&view={view}")).await.body;
        assert!(column(&list, focus).iter().any(|cost| decimal(cost) == decimal(total)), "{query}: {list}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_bought_for_commitments_is_not_added_to_its_use(db: PgPool) {
    let world = world(&db).await;
    import(&world, ("2026-09", "2026-10"), &[USE, LICENSE], "2026-10-02T06:00:00Z").await;
    import(&world, ("2026-10", "2026-11"), &[USE, LICENSE, COVERED, PLAN], "2026-11-02T06:00:00Z").await;
    assert_says(&world, ("list", "ListCost", "List cost"), "132", "100").await;
    assert_says(&world, ("contracted", "ContractedCost", "Contracted cost"), "117", "90").await;
    // What is paid is paid: these two have it as ever.
    assert_says(&world, ("billed", "BilledCost", "Net cost"), "87", "60").await;
    assert_says(&world, ("amortized", "EffectiveCost", "Net cost"), "87", "60").await;

    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10?basis=list").await.body;
    let lede = texts(&page, ".lede").join(" ");
    assert!(lede.contains("$60.00 that was bought for commitments is left out"), "{lede}");
    let page = finance.get("/finance/statements/2026-10").await.body;
    assert!(!page.contains("left out"), "{page}");
    let list = finance.get("/finance/statements?basis=list").await.body;
    assert!(texts(&list, ".lede").join(" ").contains("bought for commitments is left out"), "{list}");
    let csv = finance.get("/finance/statements/2026-10.csv?basis=list&by=charge").await.body;
    assert_eq!(purchases(&csv, "ListCost 2026-10"), decimal("7"), "a license is in no use: {csv}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/costs?view=billing&period=2026-10&basis=list&by=service";
    let answer = world.app.api("GET", path, &token, Value::Null).await.json();
    assert!(answer["notes"].to_string().contains("left out"), "{answer}");
    world.assert_clean().await;
}

/// A closed month leaves out what it left out at closing, whatever its bills say later.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_closed_month_keeps_what_it_leaves_out(db: PgPool) {
    let world = world(&db).await;
    import(&world, ("2026-09", "2026-10"), &[USE, LICENSE], "2026-10-02T06:00:00Z").await;
    import(&world, ("2026-10", "2026-11"), &[USE, LICENSE, COVERED, PLAN], "2026-11-02T06:00:00Z").await;
    for closed in ["2026-09", "2026-10"] {
        let pools = &world.app.state.pools;
        close(pools, month(closed), "Done.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    }
    assert_says(&world, ("list", "ListCost", "List cost"), "132", "100").await;
    import(&world, ("2026-10", "2026-11"), &[USE, LICENSE, COVERED, DEARER_PLAN], "2026-11-12T06:00:00Z").await;
    let finance = world.finance().await;
    for view in ["billing", "charge"] {
        let page = finance.get(&format!("/finance/statements/2026-10?basis=list&view={view}")).await.body;
        let figures = texts(&page, ".figures div");
        assert!(figures[0].starts_with("List cost $132.00"), "{view}: {figures:?}");
        assert!(figures[4].contains("$132.00"), "{view}: {figures:?}");
        assert!(!page.contains("Adjusted by"), "{view}: {page}");
        let tied = texts(&page, "[aria-label^='Bills table'] tr.total").join(" ");
        assert!(tied.contains("$132.00 ±$0.00 $132.00") && !page.contains("Does not tie"), "{view}: {tied}");
    }
    let costs = async |basis: &str, column_name: &str| {
        let list = finance.get(&format!("/finance/statements.csv?basis={basis}")).await.body;
        let parts = finance.get(&format!("/finance/statements/2026-10/adjustments.csv?basis={basis}")).await.body;
        (sum(&list, "AdjustmentsBooked"), sum(&parts, column_name))
    };
    assert_eq!(costs("list", "ListCost").await, (decimal("0"), decimal("0")));
    assert_eq!(costs("billed", "BilledCost").await, (decimal("20"), decimal("20")));
    let page = finance.get("/finance/statements/2026-10?basis=billed").await.body;
    assert!(page.contains("Adjusted by +$20.00 in November 2026."), "what is paid for it is booked: {page}");
    world.assert_clean().await;
}

/// A bill that says the same amounts, and calls a part of them bought for a commitment, says something else in list prices:
/// the closed month stays, and the difference is booked.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_called_a_commitment_after_closing_is_booked(db: PgPool) {
    const UNNAMED_PLAN: Bought = ("60,0,60,60", "Purchase", "Standard", ",,,");
    let world = world(&db).await;
    import(&world, ("2026-10", "2026-11"), &[USE, COVERED, UNNAMED_PLAN], "2026-11-02T06:00:00Z").await;
    close(&world.app.state.pools, month("2026-10"), "Done.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    import(&world, ("2026-10", "2026-11"), &[USE, COVERED, PLAN], "2026-11-12T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10?basis=list").await.body;
    let tied = texts(&page, "[aria-label^='Bills table'] tr.total").join(" ");
    assert!(tied.contains("$185.00 \u{2212}$60.00 $125.00") && !page.contains("Does not tie"), "{tied}");
    assert!(page.contains("Adjusted by \u{2212}$60.00 in November 2026."), "{page}");
    let parts = finance.get("/finance/statements/2026-10/adjustments.csv?basis=list").await.body;
    assert_eq!(sum(&parts, "ListCost"), decimal("-60"), "{parts}");
    let list = finance.get("/finance/statements.csv?basis=list").await.body;
    assert_eq!(sum(&list, "ListCostWithAdjustments"), decimal("125"), "{list}");
    world.assert_clean().await;
}

// What every page, file and answer of October in a basis adds up to, by what it is called; each is all cost by charge day
// that the reader may see.
async fn totals_by_charge_day(
    world: &World,
    (reader, token): (&TestApp, &str),
    (basis, focus): (&str, &str),
) -> Vec<(String, BigDecimal)> {
    let query = format!("period=2026-10&basis={basis}");
    let mut all = Vec::new();
    for list in ["services", "teams", "environments", "dimensions/product", "dimensions/cost_center"] {
        let csv = reader.get(&format!("/{list}.csv?{query}")).await.body;
        let (first, last) = (column(&csv, "FirstDay"), column(&csv, "LastDay"));
        assert!(
            first.iter().all(|day| day == "2026-10-01") && last.iter().all(|day| day.starts_with("2026-10-")),
            "{csv}"
        );
        all.push((list.to_owned(), sum(&csv, focus)));
    }
    let statement = reader.get(&format!("/finance/statements/2026-10.csv?view=charge&basis={basis}")).await.body;
    all.push(("statement".into(), sum(&statement, &format!("{focus} 2026-10"))));
    let lines = reader.get(&format!("/charges.csv?{query}")).await.body;
    all.push(("lines".into(), sum(&lines, focus)));
    all.push(("page of lines".into(), figure(&reader.get(&format!("/charges?{query}")).await.body)));
    for by in ["service", "team", "env", "provider", "charge", "day"] {
        let api = world.app.api("GET", &format!("/api/v1/costs?{query}&by={by}"), token, Value::Null).await.json();
        all.push((format!("API by {by}"), decimal(api["totals"][0]["cost"].as_str().unwrap())));
        let rows = api["rows"].as_array().unwrap().iter();
        all.push((format!("rows by {by}"), rows.map(|row| decimal(row["cost"].as_str().unwrap())).sum()));
    }
    for narrowed in ["", "&service=checkout", "&dimension=product:none"] {
        let path = format!("/api/v1/why?{query}&vs=2026-09{narrowed}");
        let api = world.app.api("GET", &path, token, Value::Null).await.json();
        let change = &api["changes"][0];
        all.push((format!("why{narrowed}"), decimal(change["cost"].as_str().unwrap())));
        let csv = reader.get(&format!("/why.csv?{query}&vs=2026-09{narrowed}")).await.body;
        let before = decimal(change["compared_cost"].as_str().unwrap());
        all.push((format!("causes{narrowed}"), before + sum(&csv, "Amount")));
    }
    all
}

async fn assert_all_say(world: &World, reader: (&TestApp, &str), basis: (&str, &str), total: &str) {
    for (what, said) in totals_by_charge_day(world, reader, basis).await {
        assert_eq!(said, decimal(total), "{what} in {basis:?}");
    }
    for path in ["/", "/services", "/services/checkout", "/teams", "/environments", "/dimensions/product"] {
        let page = reader.0.get(&format!("{path}?period=2026-10&basis={}", basis.0)).await;
        // The overview is of the whole organisation: members begin elsewhere.
        let is_shown = page.status == StatusCode::OK && page.body.contains(&format!("${total}"));
        assert!(is_shown || page.status.is_redirection() && path == "/", "{path} in {basis:?}: {}", page.body);
    }
}

/// The same scope and days are the same figure everywhere, in every basis, of those who see one team too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_page_leaves_out_what_the_statement_does(db: PgPool) {
    let world = world(&db).await;
    import(&world, ("2026-09", "2026-10"), &[USE, LICENSE, PLAN], "2026-10-02T06:00:00Z").await;
    import(&world, ("2026-10", "2026-11"), &[USE, LICENSE, COVERED, PLAN], "2026-11-02T06:00:00Z").await;
    let sql = "WITH made AS (INSERT INTO team (slug, name) VALUES ('shop', 'Shop') RETURNING team_id), owned AS (
                   UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout')
               SELECT team_id FROM made";
    let team: i64 = sqlx::query_scalar(sql).fetch_one(&db).await.unwrap();
    let person = world.app.person(Role::Member, false, &[team]).await;
    let member = (world.app.browser_of(person).await, world.app.token_of(person, TokenScope::Read).await);
    let finance = (world.finance().await, world.app.token(TokenScope::Read, Role::Finance).await);
    for (reader, token) in [&finance, &member] {
        let token = token.as_str();
        assert_all_say(&world, (reader, token), ("list", "ListCost"), "132").await;
        assert_all_say(&world, (reader, token), ("contracted", "ContractedCost"), "117").await;
        // What is paid is paid: these two have it as ever.
        assert_all_say(&world, (reader, token), ("billed", "BilledCost"), "87").await;
        assert_all_say(&world, (reader, token), ("amortized", "EffectiveCost"), "87").await;
        let path = "/api/v1/why?period=2026-10&vs=2026-09&basis=list";
        let why = world.app.api("GET", path, token, Value::Null).await.json();
        assert_eq!(why["changes"][0]["compared_cost"], "32", "the month before leaves its plan out too: {why}");
    }
    let page = finance.0.get("/services?period=2026-10&basis=list").await.body;
    assert!(page.contains("What was bought for commitments is left out"), "said beside the basis: {page}");
    assert!(!finance.0.get("/services?period=2026-10").await.body.contains("is left out: its use"));
    world.assert_clean().await;
}

/// In other prices nothing is looked for: the plan is that of the table.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn other_prices_are_read_from_the_daily_sums_alone(db: PgPool) {
    for (flag, looks) in [("false", false), ("true", true)] {
        let sql = format!(
            "EXPLAIN SELECT sum(d.list_cost) FROM daily_cell({flag}) d
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             WHERE d.service_id = 1 AND d.charge_date >= '2026-10-01'"
        );
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&db).await.unwrap();
        let plan = plan.join("\n");
        assert!(!plan.contains("Function Scan") && plan.contains("daily_cost"), "{plan}");
        assert_eq!(plan.contains("rollup_key"), looks, "{plan}");
    }
}

/// Lines show their own cost, and a row leads from their sum to the figure.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_line_bought_for_a_commitment_shows_its_price_and_adds_nothing(db: PgPool) {
    let world = world(&db).await;
    import(&world, ("2026-10", "2026-11"), &[USE, LICENSE, COVERED, PLAN], "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/charges?billing=2026-10&basis=list").await.body;
    let table = texts(&page, "[aria-label='Commitments table'] tbody tr");
    assert_eq!(table.len(), 3, "{table:?}");
    assert!(table[0].contains("$192.00") && table[1].starts_with("Bought for commitments"), "{table:?}");
    assert!(table[1].contains("\u{2212}$60.00") && table[2].contains("$132.00"), "{table:?}");
    let csv = finance.get("/charges.csv?billing=2026-10&basis=list").await.body;
    assert_eq!(column(&csv, "ListCost").len(), 5, "four lines and what is taken off: {csv}");
    // By a resource too, which no sums are kept by; and nothing is taken off of what is paid.
    let of_resource = finance.get("/charges?billing=2026-10&basis=list&resource=vm-1").await.body;
    assert_eq!(figure(&of_resource), decimal("132"), "{of_resource}");
    let billed = finance.get("/charges?billing=2026-10&basis=billed").await.body;
    assert!(figure(&billed) == decimal("87") && !billed.contains("Bought for commitments"), "{billed}");
    let plan = finance.get("/charges?billing=2026-10&basis=list&charge=Purchase").await.body;
    assert_eq!(figure(&plan), decimal("7"), "the license alone is counted: {plan}");
    let hrefs: Vec<String> = Html::parse_document(&plan)
        .select(&select("[aria-label='Lines table'] a.row"))
        .map(|link| link.attr("href").unwrap().to_owned())
        .collect();
    let mut told = Vec::new();
    for href in hrefs {
        told.push(finance.get(&href).await.body.contains("Bought for commitments"));
    }
    assert_eq!(told, [true, false], "the plan, and the license");
}

/// What a split moves of purchases stays with nobody, on every page alike: nobody is charged for a plan by the use of
/// which others are charged.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_splits_move_is_the_same_on_every_page(db: PgPool) {
    let world = world(&db).await;
    import(&world, ("2026-10", "2026-11"), &[USE, LICENSE, COVERED, PLAN], "2026-11-02T06:00:00Z").await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('ledger', 'ledger')").execute(&db).await.unwrap();
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "Shop", "source": "checkout", "method": "fixed", "reason": "The ledger uses it.",
        "targets": [{"service": "ledger", "percent": "100"}]});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let finance = world.finance().await;
    // Of purchases on that day nothing is divided, so that the license stays where it was bought.
    for (service, list, billed) in [("checkout", "7", "0"), ("ledger", "125", "87")] {
        for (basis, focus, total) in [("list", "ListCost", list), ("billed", "BilledCost", billed)] {
            let query = format!("period=2026-10&basis={basis}&service={service}");
            let api = world.app.api("GET", &format!("/api/v1/costs?{query}"), &token, Value::Null).await.json();
            assert_eq!(api["totals"][0]["cost"].as_str().map(decimal), Some(decimal(total)), "{query}: {api}");
            let lines = finance.get(&format!("/charges.csv?{query}")).await.body;
            assert_eq!(sum(&lines, focus), decimal(total), "{query}: {lines}");
            let page = finance.get(&format!("/charges?{query}")).await.body;
            assert_eq!(figure(&page), decimal(total), "{query}: {page}");
            let path = format!("/finance/statements/2026-10.csv?view=charge&by=service&basis={basis}");
            let statement = finance.get(&path).await.body;
            let named = column(&statement, "Service").into_iter().zip(column(&statement, &format!("{focus} 2026-10")));
            let stated: BigDecimal = named.filter(|(name, _)| name == service).map(|(_, cost)| decimal(&cost)).sum();
            assert_eq!(stated, decimal(total), "{query}: {statement}");
        }
    }
    world.assert_clean().await;
}
