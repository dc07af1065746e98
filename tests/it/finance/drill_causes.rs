//! Down from coverage of commitments and from the causes of a change, to the lines of both periods.

use super::drill::{figure, is_shown_as, links, select, text};
use super::{World, column, decimal, world};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use scraper::{ElementRef, Html};
use sqlx::PgPool;

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,ServiceName,SubAccountId,ResourceId,\
RegionId,SkuId,PricingCategory,PricingQuantity,PricingUnit,CommitmentDiscountId,CommitmentDiscountStatus,\
CommitmentDiscountType,CommitmentDiscountCategory,Tags";

/// Category, class, ServiceName, CommitmentDiscountStatus, and what it costs at list price on each of thirty days of
/// September and of October; half of it in effect.
const LINES: [(&str, &str, &str, &str, &str, &str); 9] = [
    ("Usage", "", "Machines", "", "10.0000001", "12"),
    ("Usage", "", "Machines", "Used", "4.5", "4.25"),
    ("Usage", "", "Machines", "Unused", "1.5", "1.75"),
    ("Usage", "", "Storage", "", "3.3333", "4.4444"),
    ("Usage", "Correction", "Machines", "", "-0.125", "-0.25"),
    ("Credit", "", "Machines", "", "-2", "-1.0005"),
    ("Tax", "", "Machines", "", "0.77", "0.88"),
    ("Adjustment", "", "Machines", "", "0.01", "0.03"),
    ("Purchase", "", "Machines", "", "6", "7"),
];

async fn seeded(db: &PgPool) -> World {
    let world = world(db).await;
    for (month, next, number) in [("2026-09", "2026-10", 0), ("2026-10", "2026-11", 1)] {
        let mut file = format!("{HEADER}\n");
        for day in 1..=30 {
            for (category, class, bought, status, september, october) in LINES {
                let list: BigDecimal = [september, october][number].parse().unwrap();
                let effective = &list / BigDecimal::from(2);
                let commitment = if status.is_empty() { "" } else { "plan-1" };
                let kind = if status.is_empty() { "," } else { "Savings plan,Spend" };
                let pricing = if status.is_empty() { "Standard" } else { "Committed" };
                file.push_str(&format!(
                    "{list},{effective},{list},{list},USD,acct-1,{month}-01T00:00:00Z,{next}-01T00:00:00Z,\
                     {month}-{day:02}T00:00:00Z,{month}-{day:02}T23:00:00Z,{category},{class},Some line,Usage-Based,\
                     Cloud One,Cloud One,Cloud One,Compute,{bought},sub-1,vm-1,eu-1,sku-{bought},{pricing},{list},Hours,\
                     {commitment},{status},{kind},\"{{\"\"service\"\":\"\"checkout\"\"}}\"\n"
                ));
            }
        }
        world.import_text(&file, &format!("{next}-02T06:00:00Z")).await;
    }
    world
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn coverage_leads_to_the_usage_at_list_prices(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let page = finance.get("/commitments?period=2026-10").await.body;
    let rows = "[aria-labelledby=h-cover] tbody tr";
    let covered = links(&page, rows, "td:nth-of-type(1) a", 3);
    let usage = links(&page, rows, "td:nth-of-type(2) a", 2);
    assert_eq!((covered.len(), usage.len()), (1, 1), "{page}");
    // Thirty days of 4.25; of 12, 4.25 and the correction of -0.25.
    assert_eq!((covered[0].1.as_str(), usage[0].1.as_str()), ("$127.50", "$480.00"));
    for (href, shown) in covered.into_iter().chain(usage) {
        let lines = finance.get(&href).await;
        assert_eq!(lines.status, StatusCode::OK, "{href}");
        assert!(!lines.body.contains("Ignored:"), "{href}");
        assert!(is_shown_as(&figure(&lines.body), &shown), "{shown}, {href} {}", figure(&lines.body));
    }
}

/// Each month leads to the lines of what was used, left unused, covered, and of all usage of what commitments cover.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_month_of_commitments_leads_to_its_lines(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let page = finance.get("/commitments?period=2026-10").await.body;
    let rows = "[aria-label='Commitments by month table'] tbody tr";
    let mut shown_of_october = Vec::new();
    for (column, from_end) in [(2, 6), (3, 5), (5, 3), (6, 2)] {
        let cells = links(&page, rows, &format!("td:nth-of-type({column}) a"), from_end);
        assert_eq!(cells.len(), 2, "September and October: {page}");
        shown_of_october.push(cells[0].1.clone());
        for (href, shown) in cells {
            let lines = finance.get(&href).await;
            assert!(!lines.body.contains("Ignored:"), "{href}");
            assert!(is_shown_as(&figure(&lines.body), &shown), "{shown}, {href} {}", figure(&lines.body));
        }
    }
    assert_eq!(shown_of_october, ["$63.75", "$26.25", "$127.50", "$480.00"]);
}

struct Cause {
    name: String,
    shown: String,
    lines: Vec<String>,
}

// The rows of a walk, its ends included.
fn causes(body: &str) -> Vec<Cause> {
    let page = Html::parse_document(body);
    let hrefs = |row: &ElementRef| {
        row.select(&select("a[href^='/charges']")).map(|link| link.attr("href").unwrap().to_owned()).collect()
    };
    let cause = |row: ElementRef| Cause {
        name: row.select(&select("th")).next().map(text).unwrap(),
        shown: text(row.select(&select("td.n")).next().unwrap()),
        lines: hrefs(&row),
    };
    page.select(&select("table.bridge tbody tr")).map(cause).filter(|cause| !cause.lines.is_empty()).collect()
}

/// What credits, tax and corrections changed by is the difference of their lines, to the last digit; so is, together, all
/// that is worked out from usage.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_cause_of_a_change_leads_to_its_lines_in_both_periods(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let sum = async |href: &str| {
        let lines = finance.get(href).await;
        assert_eq!(lines.status, StatusCode::OK, "{href}: {}", lines.body);
        assert!(!lines.body.contains("Ignored:"), "{href}");
        figure(&lines.body)
    };
    for (path, table) in [
        ("/why?period=2026-10", "/why.csv?period=2026-10"),
        ("/why?period=2026-10&basis=list&service=checkout", "/why.csv?period=2026-10&basis=list&service=checkout"),
        ("/services/checkout?period=2026-10", "/why.csv?period=2026-10&service=checkout"),
        ("/finance/statements/2026-10", "/finance/statements/2026-10/causes.csv?view=billing"),
    ] {
        let rows = causes(&finance.get(path).await.body);
        let exact = finance.get(table).await.body;
        let labels = column(&exact, "Label").into_iter().zip(column(&exact, "Amount"));
        let exact: Vec<(String, BigDecimal)> = labels.map(|(label, amount)| (label, decimal(&amount))).collect();
        let amount =
            |label: &str| exact.iter().find(|(own, _)| own == label).map_or_else(Default::default, |row| row.1.clone());
        let named = |name: &str| rows.iter().find(|row| row.name.starts_with(name));
        let change = async |name: &str| {
            let row = named(name).unwrap_or_else(|| panic!("{path}: {name} leads to no lines"));
            let [before, now, ..] = &row.lines[..] else { panic!("{path}: {name} has {:?}", row.lines) };
            sum(now).await - sum(before).await
        };
        for name in ["Credits", "Tax", "Corrections and adjustments"] {
            assert_eq!(change(name).await, amount(name), "{path}: {name}");
        }
        let of_usage: Vec<&Cause> =
            rows.iter().filter(|row| row.lines.iter().any(|href| href.ends_with("part=used"))).collect();
        assert!(!of_usage.is_empty() && of_usage.iter().all(|row| row.lines == of_usage[0].lines), "{path}");
        let known = ["Credits", "Tax", "Corrections and adjustments"].map(&amount);
        let rest = exact.iter().map(|row| &row.1).sum::<BigDecimal>() - known.iter().sum::<BigDecimal>();
        assert_eq!(change(&of_usage[0].name).await + change("Commitments").await, rest, "{path}");
        // What commitments took off prices is told of the usage that they cover.
        let [.., covered_before, covered] = &named("Commitments").unwrap().lines[..] else { panic!("{path}") };
        assert!(covered.ends_with("part=covered") && covered_before != covered, "{path}: {covered}");
        assert!(sum(covered).await < sum(covered_before).await, "{path}: 4.25 a day against 4.5");
        // The ends of the walk lead to all lines of their period.
        let ends: Vec<&Cause> = rows.iter().filter(|row| row.lines.len() == 1).collect();
        assert_eq!(ends.len(), 2, "{path}");
        for end in ends {
            let whole = sum(&end.lines[0]).await;
            assert!(is_shown_as(&whole, &end.shown), "{path}: {} {whole}", end.shown);
        }
    }
}
