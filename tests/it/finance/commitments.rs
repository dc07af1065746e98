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

/// A rule gives what was left unused to a service, and a split spreads the cost of that service over those that
/// commitments are bought for: to the last digit, and no total moves.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_unused_part_is_spread(db: PgPool) {
    let world = world(&db).await;
    world.import_text(&report(), "2026-11-02T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let costs = async || -> Vec<String> {
        let sql = "SELECT coalesce(s.slug, 'none') || ' ' || trim_scale(sum(d.effective_cost))
            FROM daily_cost d LEFT JOIN service s USING (service_id) GROUP BY s.slug ORDER BY 1";
        sqlx::query_scalar(sql).fetch_all(&db).await.unwrap()
    };
    for name in ["idle", "search", "shop"] {
        world.app.api("POST", "/api/v1/services", &token, serde_json::json!({"name": name})).await;
    }
    let rule = serde_json::json!({"applies_to": "charges", "service": "idle", "place": "first", "note": "Nobody used it.",
        "conditions": [{"attribute": "commitment_discount_status", "operator": "equals", "value": "Unused"}]});
    let made = world.app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, axum::http::StatusCode::CREATED, "{}", made.body);
    assert_eq!(costs().await, ["idle 2", "none 12.5"]);

    let split = serde_json::json!({"name": "Unused commitments", "source": "idle", "method": "fixed",
        "targets": [{"service": "shop", "percent": "66.6"}, {"service": "search", "percent": "33.4"}],
        "reason": "They are bought for both."});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, axum::http::StatusCode::CREATED, "{}", made.body);
    assert_eq!(costs().await, ["idle 0", "none 12.5", "search 0.668", "shop 1.332"]);
    let total: bigdecimal::BigDecimal =
        sqlx::query_scalar("SELECT sum(effective_cost) FROM daily_cost").fetch_one(&db).await.unwrap();
    assert_eq!(total, decimal("14.5"));
    let read = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/commitments?period=2026-10";
    let answer = world.app.api("GET", path, &read, serde_json::Value::Null).await.json();
    let unused = answer["commitments"].as_array().unwrap().iter().map(|one| decimal(one["unused"].as_str().unwrap()));
    assert_eq!(unused.sum::<bigdecimal::BigDecimal>(), decimal("2"), "{answer}");
    world.assert_clean().await;
}
