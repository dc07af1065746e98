//! What rows share is told by the bytes of their columns, and computed texts are no part of these: rows with equal
//! bytes must agree in every text all the same.

use crate::normalize::{Charge, Row, open};
use std::collections::HashMap;
use std::io::Write;

/// What each column is given once while the others stay: types of lines, kinds of prices, days, tags, nothing.
const VALUES: [&str; 16] = [
    "",
    "v",
    "w",
    "0",
    "7",
    "Usage",
    "DiscountedUsage",
    "Refund",
    "Reservation",
    "SpotUsage",
    "true",
    "tax",
    "2026-10-07T00:00:00Z",
    "202611",
    r#"{"a":"b","product_name":"n"}"#,
    "[{'key': 'a', 'value': 'b'}]",
];

const FILES: [(&str, &str); 4] = [
    (
        "identity/LineItemId,bill/PayerAccountId,bill/BillingPeriodStartDate,bill/BillingPeriodEndDate,\
         lineItem/UsageAccountId,lineItem/LineItemType,lineItem/UsageStartDate,lineItem/UsageEndDate,\
         lineItem/ProductCode,lineItem/UsageType,lineItem/UsageAmount,lineItem/CurrencyCode,lineItem/UnblendedCost,\
         product,product/ProductName,product/servicecode,product/region,product/regionCode,product/location,\
         product/locationType,pricing/RateCode,pricing/RateId,pricing/unit,pricing/currency,\
         reservation/EffectiveCost,reservation/ReservationARN,\
         reservation/UnusedRecurringFee,savingsPlan/SavingsPlanARN,savingsPlan/SavingsPlanEffectiveCost,\
         resourceTags/user:team,resourceTags/aws:createdBy,resource_tags",
        "id,1,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2,Usage,2026-10-05T00:00:00Z,2026-10-08T00:00:00Z,AmazonEC2,\
         BoxUsage,1,USD,1.5,,EC2,AmazonEC2,eu-west-1,eu-west-1,EU (Ireland),AWS Region,,,Hrs,USD,0.5,,,,0.25,shop,,",
    ),
    (
        "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterCategory,MeterId,\
         Quantity,Cost,CostInUsd,BillingCurrency,ResourceLocation,Location,MeterRegion,ResourceId,Tags,ChargeType,\
         Frequency,PricingModel,ReservationId,ReservationName,benefitId,benefitName,ServiceFamily,ConsumedService",
        "1,2026-10-01,2026-10-31,sub,2026-10-05,Storage,m,1,2,3,USD,uksouth,,,r,,Usage,UsageBased,OnDemand,,,,,,",
    ),
    (
        "billing_account_id,service.id,service.description,sku.id,usage_start_time,usage_end_time,project.id,labels,\
         location.location,location.region,export_time,cost,currency,usage.amount,usage.unit,usage.pricing_unit,\
         credits,invoice.month,cost_type,seller_name",
        "a,s,Cloud Storage,sku,2026-10-05T00:00:00Z,2026-10-08T00:00:00Z,p,[],us,,2026-10-06T00:00:00Z,1,USD,2,GB,GB,\
         [],202610,regular,",
    ),
    (
        "lineItem/referenceNo,lineItem/tenantId,lineItem/intervalUsageStart,lineItem/intervalUsageEnd,\
         product/service,product/region,product/resourceId,usage/billedQuantity,cost/subscriptionId,cost/productSku,\
         cost/unitPrice,cost/myCost,cost/currencyCode,cost/skuUnitDescription,lineItem/isCorrection,tags/team,tags/env",
        "r,t,2026-10-05T00:00Z,2026-10-08T00:00Z,COMPUTE,fra,res,1,sub,sku,2,3,USD,Hours,false,shop,",
    ),
];

fn texts(charge: &Charge<'_>) -> String {
    let fields = [
        charge.provider_name,
        charge.invoice_issuer_name,
        charge.billing_account_id,
        charge.sub_account_id,
        charge.sub_account_name,
        charge.service_category,
        charge.service_name,
        charge.region_id,
        charge.sku_id,
        charge.charge_category,
        charge.charge_class,
        charge.pricing_category,
        charge.commitment_discount_status,
        charge.resource_id,
        charge.resource_name,
        charge.resource_type,
        charge.charge_description,
        charge.tags,
        charge.unreadable_tags,
    ];
    format!("{fields:?} {:?}", charge.attributes().collect::<Vec<_>>())
}

#[test]
fn rows_with_equal_bytes_agree_in_every_text() {
    for (header, row) in FILES {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), header.split(',').count(), "{header}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{header}").unwrap();
        for column in 0..cells.len() {
            for value in VALUES {
                let mut changed = cells.clone();
                changed[column] = value;
                let quoted: Vec<String> =
                    changed.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
                writeln!(file, "{}", quoted.join(",")).unwrap();
            }
        }
        let mut bill = open(file.path()).unwrap();
        let (mut groups, mut charges) = (HashMap::new(), 0);
        while let Some(row) = bill.next_row().unwrap() {
            let Row::Charge(charge) = row else { continue };
            let mut bytes = Vec::new();
            charge.group_bytes(&mut bytes);
            let own = texts(&charge);
            let known = groups.entry(bytes).or_insert_with(|| own.clone());
            assert_eq!(*known, own, "line {}", charge.line);
            charges += 1;
        }
        let group_count = groups.len();
        // Most values make another group; those of costs, quantities and periods do not. A currency does where it is
        // that of prices too.
        assert!(charges > cells.len() * 8 && group_count > cells.len() * 4, "{charges} {group_count}");
        assert!(group_count + 2 * VALUES.len() < charges, "{charges} {group_count}");
    }
}

/// Cells of JSON lines lie anywhere, in any order: where one ends and which it is makes a group as well.
#[test]
fn json_lines_with_equal_bytes_have_equal_cells_in_any_order() {
    let line = |members: &str| {
        format!(
            "{{\"billing_account_id\":\"a\",{members},\"usage_start_time\":\"2026-10-05T00:00:00Z\",\
             \"usage_end_time\":\"2026-10-05T01:00:00Z\",\"currency\":\"USD\",\"invoice\":{{\"month\":\"202610\"}}}}\n"
        )
    };
    let lines = [
        r#""cost":1,"sku":{"id":"x"},"project":{"id":"yz"}"#,
        r#""project":{"id":"yz"},"cost":2,"sku":{"id":"x"}"#,
        r#""cost":1,"sku":{"id":"xy"},"project":{"id":"z"}"#,
        r#""cost":1,"sku":{"id":"yz"},"project":{"id":"x"}"#,
        r#""cost":1,"sku":{"id":"xyz"}"#,
        r#""cost":1,"project":{"id":"xyz"}"#,
    ];
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.map(line).concat().as_bytes()).unwrap();
    let (mut bill, mut groups) = (open(file.path()).unwrap(), Vec::new());
    while let Some(Row::Charge(charge)) = bill.next_row().unwrap() {
        let mut bytes = Vec::new();
        charge.group_bytes(&mut bytes);
        groups.push(bytes);
    }
    assert_eq!(groups.len(), lines.len());
    assert_eq!(groups[0], groups[1]);
    groups.dedup();
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups.len(), lines.len() - 1);
}
