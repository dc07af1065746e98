use super::{attribute, costs, read, tags};
use crate::normalize::open;
use std::io::Write;

const HEADER: &str = "lineItem/referenceNo,lineItem/tenantId,lineItem/intervalUsageStart,lineItem/intervalUsageEnd,\
    product/service,product/compartmentName,product/resourceId,usage/billedQuantity,cost/subscriptionId,cost/myCost,\
    cost/myCostOverage,cost/currencyCode,lineItem/isCorrection,lineItem/backreferenceNo,tags/Oracle-Tags.CreatedBy,\
    tags/free";

#[test]
fn moments_without_seconds_and_exponents_are_read() {
    let text = format!(
        "{HEADER}\r\n\
         r1,tenant,2026-10-31T23:00Z,2026-11-01T00:00:00Z,BLOCK_STORAGE,shop,vol,0.1,sub,4.81298076439E-7,,USD,false,1,me,x\r\n\
         r2,tenant,2026-11-01T00:00Z,2026-11-01T01:00Z,NOVELTY,shop,vol,0.1,,1.00,,USD,true,2,,\r\n\
         r3,tenant,2026-11-01T30:00Z,2026-11-01T01:00Z,COMPUTE,shop,vol,0.1,sub,1.00,,USD,false,,,\r\n"
    );
    let read = read(&text, |charge| {
        assert_eq!(attribute(charge, "product/compartmentName"), Some("shop"));
        let period = (charge.billing_period_start.unwrap(), charge.billing_period_end.unwrap());
        let period = format!("{} {}", period.0.format("%F"), period.1.format("%F"));
        let names = (charge.billing_account_id.unwrap(), charge.service_category.unwrap(), charge.charge_class);
        format!("{} {period} {names:?} {}", costs(charge), tags(charge))
    });
    assert_eq!(read.format, "OCI cost report CSV");
    let cost = "0.000000481298076439";
    assert_eq!(
        read.shown,
        [
            format!(
                r#"{cost} {cost} - {cost} 2026-10-01 2026-11-01 ("sub", "Storage", None) {{"Oracle-Tags.CreatedBy":"me","free":"x"}}"#
            ),
            r#"1.00 1.00 - 1.00 2026-11-01 2026-12-01 ("tenant", "Other", Some("Correction")) {}"#.to_owned(),
        ]
    );
    let reason = &read.rejections[0].reason;
    assert!(reason.starts_with("ChargePeriodStart, from lineItem/intervalUsageStart, is not a moment"), "{reason}");
    assert_eq!((read.rejections[0].line, read.rejections[0].value.as_str()), (4, "2026-11-01T30:00Z"));
}

/// What the report says by what its columns are: who is billed, whose usage it is, how it is charged and in what.
#[test]
fn kinds_of_accounts_and_the_currency_of_prices_are_told() {
    let line = |subscription: &str| {
        format!(
            "r1,tenant,2026-10-31T23:00Z,2026-11-01T00:00Z,COMPUTE,shop,vol,0.1,{subscription},1,,USD,false,1,me,x\n"
        )
    };
    let read = read(&format!("{HEADER}\n{}{}", line("sub"), line("")), |charge| {
        ["BillingAccountType", "SubAccountType", "ChargeFrequency", "PricingCurrency"]
            .map(|name| attribute(charge, name).unwrap_or("-"))
            .join(" ")
    });
    assert_eq!(read.shown, ["Subscription Tenancy Usage-Based USD", "Tenancy Tenancy Usage-Based USD"]);
}

/// One cell stands for three costs and another for two quantities, and is read once: each column has what it would have
/// by itself.
#[test]
fn a_cell_says_the_same_in_each_column_that_it_stands_for() {
    const TEXTS: [(&str, Option<&str>); 8] = [
        ("1.50", Some("1.50")),
        ("-0.0", Some("0.0")),
        (" 2 ", Some("2")),
        ("4.8E-7", Some("0.00000048")),
        ("", None),
        ("NULL", None),
        ("x", None),
        ("1e9999", None),
    ];
    for (cost, expected_cost) in TEXTS {
        for (quantity, expected_quantity) in TEXTS {
            let line = format!(
                "r1,tenant,2026-10-31T23:00Z,2026-11-01T00:00Z,COMPUTE,shop,vol,{quantity},sub,{cost},,USD,false,1,me,x\n"
            );
            let read = read(&format!("{HEADER}\n{line}"), |charge| {
                let quantities = [&charge.pricing_quantity, &charge.consumed_quantity];
                let quantities = quantities.map(|value| value.as_ref().map_or("-".into(), ToString::to_string));
                format!("{} {}", costs(charge), quantities.join(" "))
            });
            let Some(expected_cost) = expected_cost else {
                assert!(read.rejections[0].reason.starts_with("BilledCost, from cost/myCost, "), "{cost}");
                continue;
            };
            let expected = expected_quantity.unwrap_or("-");
            assert_eq!(
                read.shown,
                [format!("{expected_cost} {expected_cost} - {expected_cost} {expected} {expected}")]
            );
            let unreadable = read.warnings.iter().filter(|warning| warning.contains("Quantity cannot be read")).count();
            assert_eq!(unreadable, if matches!(quantity, "x" | "1e9999") { 2 } else { 0 }, "{quantity}");
        }
    }
}

/// I04: of two columns of one name both values are kept, and the receipt says so; of two costs none is chosen.
#[test]
fn columns_that_stand_in_a_report_twice_are_kept_apart_or_refused() {
    let line = "r1,tenant,2026-10-31T23:00Z,2026-11-01T00:00Z,COMPUTE,shop,vol,0.1,sub,1,,USD,false,1,me,x,mart,y,7";
    let twice = format!("{HEADER},product/compartmentName,tags/free,cost/myCostOverage");
    let found = read(&format!("{twice}\n{line}\n"), |charge| {
        let names = ["product/compartmentName", "product/compartmentName#2"].map(|name| attribute(charge, name));
        format!("{names:?} {} {:?}", tags(charge), charge.measures().last())
    });
    let expected = r#"[Some("shop"), Some("mart")] {"Oracle-Tags.CreatedBy":"me","free":"x","free#2":"y"} Some(("cost/myCostOverage#2", "7"))"#;
    assert_eq!(found.shown, [expected]);
    let warned = "Column tags/free stands in the file more than once: this one is kept as tags/free#2.";
    assert!(found.warnings.iter().any(|warning| warning == warned), "{:?}", found.warnings);

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(format!("{HEADER},cost/myCost\n").as_bytes()).unwrap();
    let refused = open(file.path()).err().unwrap().to_string();
    assert!(refused.contains("column cost/myCost stands in it twice"), "{refused}");
}
