//! Statements in list and contracted prices: what was bought for commitments is in the cost of what uses it, and not
//! added to it.

use super::{BY, World, column, decimal, month, sum, texts, time, world};
use bigdecimal::BigDecimal;
use costwake::rollup::close_month::close;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
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
