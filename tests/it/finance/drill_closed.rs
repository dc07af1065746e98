//! Down from the two views of a month where splits move cost, and from a closed month to lines that say something else by
//! now.

use super::drill::{amount, figure, first_figure, seeded};
use super::{BY, HEADER, Line, decimal, month, texts, time, world};
use costwake::rollup::close_month::close;
use costwake::store::Role;
use sqlx::PgPool;

// A late line of October on the bill of November, of the service whose cost two others share.
fn november() -> String {
    let line = |service: &str, day: &str, cost: &str| {
        format!(
            "{cost},{cost},{cost},{cost},USD,acct-1,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,{day}T00:00:00Z,\
             {day}T23:00:00Z,Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,vm-1,eu-1,\
             sku-1,1,Hours,\"{{\"\"service\"\":\"\"{service}\"\",\"\"env\"\":\"\"production\"\"}}\"\n"
        )
    };
    let lines =
        [line("net", "2026-10-20", "16.5"), line("net", "2026-11-02", "8"), line("checkout", "2026-11-02", "1")];
    format!("{HEADER}\n{}", lines.concat())
}

/// A member sees the shares of their teams, and both views of a month still differ by named rows, each with its lines.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn both_views_of_a_month_differ_by_shares_too(db: PgPool) {
    let world = seeded(&db).await;
    world.import_text(&november(), "2026-11-04T06:00:00Z").await;
    let team: i64 = sqlx::query_scalar("SELECT team_id FROM team").fetch_one(&db).await.unwrap();
    let member = world.app.browser(Role::Member, false, &[team]).await;
    let billed = member.get("/finance/statements/2026-10").await.body;
    let charged = member.get("/finance/statements/2026-10?view=charge").await.body;
    let rows = texts(&billed, "[aria-labelledby=h-vw-1] tbody tr");
    let shared = rows.iter().find(|row| row.contains("what splits moved")).unwrap_or_else(|| panic!("{rows:?}"));
    assert!(shared.contains("For this month on the bill of November 2026") && shared.ends_with("+$16.50"), "{rows:?}");
    let last = |row: &str| amount(row.split_whitespace().last().unwrap());
    assert_eq!(last(&rows[0]), amount(&first_figure(&billed)), "{rows:?}");
    assert_eq!(last(rows.last().unwrap()), amount(&first_figure(&charged)), "{rows:?}");
    let between: bigdecimal::BigDecimal = rows[1..rows.len() - 1].iter().map(|row| last(row)).sum();
    assert_eq!(last(&rows[0]) + between, last(rows.last().unwrap()), "{rows:?}");
    let page = scraper::Html::parse_document(&billed);
    let link = scraper::Selector::parse("[aria-labelledby=h-vw-1] a[href*='class=shared']").unwrap();
    let href = page.select(&link).next().unwrap().attr("href").unwrap().to_owned();
    let lines = member.get(&href).await.body;
    assert_eq!(figure(&lines), decimal("16.5"), "{lines}");
    assert!(lines.contains("all of it is shared cost"), "{lines}");
    // Of all services together splits move nothing.
    let finance = world.finance().await;
    let rows = texts(&finance.get("/finance/statements/2026-10").await.body, "[aria-labelledby=h-vw-1] tbody tr");
    assert!(rows.iter().all(|row| !row.contains("what splits moved")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("late lines")), "{rows:?}");
}

/// The lines behind a figure of a closed month are those of today's bills: the page says so, and by how much they differ.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn lines_of_a_closed_month_say_what_its_statement_says(db: PgPool) {
    let world = world(&db).await;
    let line = |cost, service| Line { cost, service, ..Line::default() };
    world.import(&[line("10.125", "checkout"), line("3", "ledger")], "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let lines = async |query: &str| finance.get(&format!("/charges?billing=2026-10{query}")).await.body;
    assert!(!lines("").await.contains("October 2026 is closed"));
    close(&world.app.state.pools, month("2026-10"), "Done.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    let same = lines("").await;
    assert!(same.contains("October 2026 is closed") && same.contains("Both are the same."), "{same}");
    world.import(&[line("12.5", "checkout"), line("3", "ledger")], "2026-11-12T06:00:00Z").await;
    let told = |body: &str| texts(body, "[aria-label='From the statement to the lines table'] tbody tr");
    assert_eq!(told(&lines("").await), ["USD $13.125 +$2.375 $15.50"]);
    assert_eq!(told(&lines("&service=checkout&cur=USD").await), ["USD $10.125 +$2.375 $12.50"]);
    assert!(lines("&service=ledger").await.contains("Both are the same."));
    // What is booked stands in a file of the same currency and cost column.
    let file = |query: &str| format!("href=\"/finance/statements/2026-10/adjustments.csv{query}\"");
    assert!(lines("").await.contains(&file("")));
    let billed = lines("&cur=usd&basis=billed").await;
    assert!(billed.contains(&file("?cur=USD&#38;basis=billed")), "{billed}");
    let narrow = lines("&resource=vm-checkout").await;
    assert!(narrow.contains("go further than what a statement is kept by") && told(&narrow).is_empty(), "{narrow}");
    // The page that the statement leads to is this one.
    let statement = finance.get("/finance/statements/2026-10").await.body;
    assert!(statement.contains("/charges?billing=2026-10&#38;cur=USD"), "{statement}");
    assert_eq!(first_figure(&statement), "$13.13");
}
