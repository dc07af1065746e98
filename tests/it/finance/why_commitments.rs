//! A commitment that begins or ends between two periods is told as what it is, in each basis, to the last digit.

use super::why::{amount, amounts};
use super::{World, decimal, sum, texts, world};
use sqlx::PgPool;

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,ServiceName,SubAccountId,ResourceId,\
RegionId,SkuId,PricingCategory,PricingQuantity,PricingUnit,CommitmentDiscountId,CommitmentDiscountStatus,\
CommitmentDiscountType,CommitmentDiscountCategory,Tags";
const BEGINS: &str = "period=2026-10-01..2026-10-30&vs=2026-09";
const ENDS: &str = "period=2026-09&vs=2026-10-01..2026-10-30";

/// What a line costs: billed, in effect, at list price and contracted; its quantity, category, pricing, and commitment.
type Bought = ([&'static str; 4], &'static str, &'static str, &'static str, &'static str);

// A hundred hours a day at 1.25, less a fifth that is negotiated.
const WITHOUT: [Bought; 1] = [(["100", "100", "125", "100"], "100", "Usage", "Standard", "")];
// As many, sixty of them under a commitment that takes two fifths off and is bought day by day.
const WITH: [Bought; 3] = [
    (["40", "40", "50", "40"], "40", "Usage", "Standard", ""),
    (["0", "36", "75", "60"], "60", "Usage", "Committed", "plan-1,Used,Savings plan,Spend"),
    (["36", "0", "36", "36"], "1", "Purchase", "Standard", ""),
];

async fn import(world: &World, month: &str, next: &str, lines: &[Bought]) {
    let mut file = format!("{HEADER}\n");
    for day in 1..=30 {
        for ([billed, effective, list, contracted], quantity, category, pricing, commitment) in lines {
            let commitment = if commitment.is_empty() { ",,," } else { *commitment };
            file.push_str(&format!(
                "{billed},{effective},{list},{contracted},USD,acct-1,{month}-01T00:00:00Z,{next}-01T00:00:00Z,\
                 {month}-{day:02}T00:00:00Z,{month}-{day:02}T23:00:00Z,{category},,Some line,Usage-Based,Cloud One,\
                 Cloud One,Cloud One,Compute,Machines,sub-1,vm-1,eu-1,sku-1,{pricing},{quantity},Hours,{commitment},\
                 \"{{\"\"service\"\":\"\"checkout\"\"}}\"\n"
            ));
        }
    }
    world.import_text(&file, &format!("{next}-02T06:00:00Z")).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_commitment_that_begins_or_ends_is_the_one_cause(db: PgPool) {
    let world = world(&db).await;
    import(&world, "2026-09", "2026-10", &WITHOUT).await;
    import(&world, "2026-10", "2026-11", &WITH).await;
    let finance = world.finance().await;
    // In effect 24 a day less; as it is billed 60 less, and a purchase of 36.
    for basis in ["", "&basis=billed"] {
        for (query, expected) in [(BEGINS, "-720"), (ENDS, "720")] {
            let csv = finance.get(&format!("/why.csv?{query}{basis}")).await.body;
            let rows = amounts(&csv);
            assert_eq!(
                (sum(&csv, "Amount"), amount(&rows, "commitments")),
                (decimal(expected), decimal(expected)),
                "{csv}"
            );
            let mut others = rows.iter().filter(|(cause, _)| cause != "commitments");
            assert!(others.all(|(_, amount)| *amount == decimal("0")), "{csv}");
        }
    }
    // Before commitments nothing changed but what was bought.
    for basis in ["list", "contracted"] {
        let csv = finance.get(&format!("/why.csv?{BEGINS}&basis={basis}")).await.body;
        assert_eq!(amount(&amounts(&csv), "commitments"), decimal("1080"), "{csv}");
        assert_eq!(sum(&csv, "Amount"), decimal("1080"), "{csv}");
    }
    let csv = finance.get(&format!("/why.csv?{BEGINS}")).await.body;
    assert!(csv.contains("they cover 60.0% of usage at list prices, 0.0% before"), "{csv}");
    let page = finance.get(&format!("/why?{BEGINS}")).await.body;
    let rows = texts(&page, "table.bridge tbody tr");
    let row = rows.iter().find(|row| row.starts_with("Commitments and purchases")).unwrap();
    assert_eq!(row.matches("usage under commitment of").count(), 2, "{row}");
    assert!(page.contains("part=covered"), "{page}");
}
