//! What an AWS report says of commitments: what was left unused is seen, and used and unused add up to what they cost.

use super::{decimal, world};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use sqlx::PgPool;

const HEADER: &str = "bill/PayerAccountId,bill/BillingPeriodStartDate,bill/BillingPeriodEndDate,bill/InvoicingEntity,\
lineItem/UsageAccountId,lineItem/LineItemType,lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/ProductCode,\
lineItem/UsageType,lineItem/UsageAmount,lineItem/CurrencyCode,lineItem/UnblendedCost,pricing/publicOnDemandCost,\
product/ProductName,reservation/ReservationARN,reservation/EffectiveCost,\
reservation/UnusedAmortizedUpfrontFeeForBillingPeriod,reservation/UnusedRecurringFee,savingsPlan/SavingsPlanARN,\
savingsPlan/SavingsPlanEffectiveCost,savingsPlan/TotalCommitmentToDate,savingsPlan/UsedCommitment";

fn report() -> String {
    let lines = [
        ("SavingsPlanCoveredUsage", "10,10,EC2,,,,,sp1,7,,"),
        ("SavingsPlanNegation", "-10,,EC2,,,,,sp1,,,"),
        ("SavingsPlanRecurringFee", "8,,EC2,,,,,sp1,,8,7"),
        ("DiscountedUsage", "0,5,EC2,ri1,3,,,,,,"),
        ("RIFee", "4,,EC2,ri1,,0,1,,,,"),
        ("Usage", "2.5,2.5,EC2,,,,,,,,"),
    ];
    let lines = lines.map(|(kind, end)| {
        format!(
            "77,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,AWS,78,{kind},2026-10-03T00:00:00Z,2026-10-03T01:00:00Z,\
             AmazonEC2,BoxUsage,1,USD,{end}\n"
        )
    });
    format!("{HEADER}\n{}", lines.concat())
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_an_aws_commitment_leaves_unused_is_seen(db: PgPool) {
    let world = world(&db).await;
    let receipt = world.import_text(&report(), "2026-11-02T06:00:00Z").await;
    assert_eq!(receipt.totals[0].costs.EffectiveCost, Some(decimal("14.5")));
    let finance = world.finance().await;
    let page = finance.get("/commitments?period=2026-10").await.body;
    let text = super::texts(&page, "main").join(" ");
    assert!(text.contains("$12.00") && text.contains("83.3%") && text.contains("$2.00"), "{text}");

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/commitments?period=2026-10";
    let answer = world.app.api("GET", path, &token, serde_json::Value::Null).await.json();
    let sum = |name: &str| -> bigdecimal::BigDecimal {
        let commitments = answer["commitments"].as_array().unwrap();
        commitments.iter().map(|one| decimal(one[name].as_str().unwrap())).sum()
    };
    assert_eq!(
        (sum("used"), sum("unused"), sum("purchased")),
        (decimal("10"), decimal("2"), decimal("12")),
        "{answer}"
    );
    assert_eq!(answer["is_cut"], false, "{answer}");
    world.assert_clean().await;
}
