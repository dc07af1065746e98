use super::{Cell, attribute, costs, parquet_row, read, read_file, tags};
use crate::normalize::open;
use std::io::Write;

const LEGACY: &str = "identity/LineItemId,identity/TimeInterval,bill/PayerAccountId,bill/BillingPeriodStartDate,\
    bill/BillingPeriodEndDate,bill/InvoicingEntity,lineItem/UsageAccountId,lineItem/LineItemType,\
    lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/ProductCode,lineItem/UsageType,lineItem/UsageAmount,\
    lineItem/CurrencyCode,lineItem/UnblendedCost,product/ProductName,product/instanceType,product/region,\
    pricing/publicOnDemandCost,reservation/EffectiveCost,reservation/ReservationARN,reservation/UnusedRecurringFee,\
    reservation/UnusedAmortizedUpfrontFeeForBillingPeriod,savingsPlan/SavingsPlanARN,\
    savingsPlan/SavingsPlanEffectiveCost,savingsPlan/TotalCommitmentToDate,savingsPlan/UsedCommitment,\
    resourceTags/aws:createdBy,resourceTags/user:team,resourceTags/user:na\"me";

/// A line of a type: its cost, and what stands from the list cost to the last tag.
fn line(line_item_type: &str, cost: &str, end: &str) -> String {
    format!(
        "id-{cost},2026-10-05T00:00:00Z/2026-10-06T00:00:00Z,001,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,AWS Inc.,\
         002,{line_item_type},2026-10-05 00:00:00,2026-10-05T01:00:00Z,AmazonEC2,BoxUsage:m5,2.0,USD,{cost},\
         Amazon Elastic Compute Cloud,m5.large,eu-west-1,{end}\r\n"
    )
}

#[test]
fn effective_cost_follows_the_type_of_line() {
    let cases = [
        (line("Usage", "1.5E-7", "2,,,,,,None,,,,,"), "Usage 0.00000015 0.00000015 2 0.00000015"),
        (line("SavingsPlanCoveredUsage", "5", "6,,,,,arn:sp,0.17,9,9,,,"), "Usage 5 0.17 6 5"),
        (line("SavingsPlanNegation", "-5", ",,,,,arn:sp,,,,,,"), "Usage -5 0 - -"),
        (line("SavingsPlanRecurringFee", "10", ",,,,,arn:sp,,10.0,7.25,,,"), "Purchase 10 2.75 - 10"),
        (line("SavingsPlanUpfrontFee", "99", ",,,,,arn:sp,,,,,,"), "Purchase 99 0 - 99"),
        (line("DiscountedUsage", "0", "1,0.03,arn:ri,,,,,,,,,"), "Usage 0 0.03 1 -"),
        (line("RIFee", "7", ",,arn:ri,1.05,2E-3,,,,,,,"), "Purchase 7 1.052 - -"),
        (line("Fee", "100", ",,arn:ri,,,,,,,,,"), "Purchase 100 0 - 100"),
        (line("Fee", "3", ",,,,,,,,,,,"), "Purchase 3 3 - 3"),
        (line("Tax", "4", ",,,,,,,,,,,"), "Tax 4 4 - 4"),
        (line("Credit", "-1", ",,,,,,,,,,,"), "Credit -1 -1 - -1"),
        (line("Refund", "-2", ",,,,,,,,,,,"), "Credit -2 -2 - -2"),
        (line("EdpDiscount", "-3", ",,,,,,,,,,,"), "Usage -3 -3 - -3"),
        (line("Novelty", "8", ",,,,,,,,,,,"), "Adjustment 8 8 - 8"),
    ];
    let text = cases.iter().map(|(line, _)| line.as_str()).collect::<String>();
    let read = read(&format!("\u{feff}{LEGACY}\r\n{text}"), |charge| {
        assert_eq!(charge.charge_class, None);
        format!("{} {}", charge.charge_category.unwrap(), costs(charge))
    });
    assert_eq!(read.format, "AWS CUR CSV");
    assert_eq!(read.shown, cases.map(|(_, expected)| expected));
    assert!(read.rejections.is_empty());
}

/// I04: the type of a line is kept under its own name, and decides about its costs.
#[test]
fn a_column_that_decides_about_a_cost_stands_in_a_report_once() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(format!("{LEGACY},lineItem/LineItemType\n").as_bytes()).unwrap();
    let refused = open(file.path()).err().unwrap().to_string();
    assert!(refused.contains("column lineItem/LineItemType stands in it twice"), "{refused}");
}

/// What a commitment leaves unused is the effective cost of its fee, so that used and unused parts add up to it.
#[test]
fn the_effective_cost_of_a_fee_is_the_unused_part() {
    let text = [
        line("SavingsPlanCoveredUsage", "10", "10,,,,,arn:sp,7,,,,,"),
        line("SavingsPlanRecurringFee", "8", ",,,,,arn:sp,,8,7,,,"),
        line("SavingsPlanUpfrontFee", "99", ",,,,,arn:sp,,,,,,"),
        line("DiscountedUsage", "0", "5,3,arn:ri,,,,,,,,,"),
        line("RIFee", "4", ",,arn:ri,1,0,,,,,,,"),
        line("Usage", "2.5", "2.5,,,,,,,,,,,"),
    ];
    let read = read(&format!("{LEGACY}\n{}", text.concat()), |charge| {
        let status = charge.commitment_discount_status.unwrap_or("-");
        format!("{status} {}", attribute(charge, "CommitmentDiscountId").unwrap_or("-"))
    });
    assert_eq!(read.shown, ["Used arn:sp", "Unused arn:sp", "- arn:sp", "Used arn:ri", "Unused arn:ri", "- -"]);
}

#[test]
fn a_value_at_fault_is_named_as_the_file_names_it() {
    let text = [
        line("Usage", "$1", ",,,,,,,,,,,"),
        line("SavingsPlanCoveredUsage", "1", ",,,,,arn:sp,,,,,,"),
        line("SavingsPlanRecurringFee", "1", ",,,,,arn:sp,,10,x,,,"),
        line("Usage", "1", ",,,"),
    ];
    let read = read(&format!("{LEGACY}\n{}", text.concat()), costs);
    let shown: Vec<String> =
        read.rejections.iter().map(|r| format!("{} {}|{}|{}", r.line, r.column, r.value, r.reason)).collect();
    assert_eq!(
        shown[..3],
        [
            "2 BilledCost|$1|BilledCost, from lineItem/UnblendedCost, is not a number like 1234.56 or 1.5E-7",
            "3 EffectiveCost||EffectiveCost, from savingsPlan/SavingsPlanEffectiveCost, is null",
            "4 EffectiveCost|x|EffectiveCost, from savingsPlan/UsedCommitment, is not a number like 1234.56 or 1.5E-7",
        ]
    );
    assert!(shown[3].ends_with("|the line has 22 cells, the header 30"), "{}", shown[3]);
}

#[test]
fn each_column_of_a_tag_becomes_a_tag() {
    let text = line("Usage", "1", ",,,,,,,,,,platform,\"say \"\"hi\"\"\"") + &line("Usage", "1", ",,,,,,,,,root,,");
    let read = read(&format!("{LEGACY}\n{text}"), tags);
    assert_eq!(read.shown, [r#"{"team":"platform","na\"me":"say \"hi\""}"#, r#"{"aws:createdBy":"root"}"#]);
    assert_eq!(read.warnings, ["ListCost is null on 2 rows."]);
}

/// What differs on every line must not make a charge group of every line.
#[test]
fn lines_of_one_thing_share_their_group() {
    let text = line("Usage", "1", "1,,,,,,,,,,,") + &line("Usage", "2", "2,,,,,,,,,,,");
    let read = read(&format!("{LEGACY}\n{text}"), |charge| {
        let mut bytes = Vec::new();
        charge.group_bytes(&mut bytes);
        let measures: Vec<_> = charge.measures().collect();
        assert_eq!(measures[0].0, "identity/LineItemId");
        assert_eq!(attribute(charge, "product/instanceType"), Some("m5.large"));
        assert_eq!(attribute(charge, "lineItem/UsageType"), Some("BoxUsage:m5"));
        format!("{bytes:?}")
    });
    assert_eq!(read.shown[0], read.shown[1]);
}

/// Cells that stand apart in the file are hashed apart: another region is another group.
#[test]
fn lines_of_two_things_do_not_share_their_group() {
    let text = line("Usage", "1", ",,,,,,,,,,,");
    for (from, to) in
        [("eu-west-1", "eu-west-2"), ("m5.large", "m5.larg"), (",002,", ",003,"), ("Usage,2026", "Tax,2026")]
    {
        let both = text.clone() + &text.replacen(from, to, 1);
        let read = read(&format!("{LEGACY}\n{both}"), |charge| {
            let mut bytes = Vec::new();
            charge.group_bytes(&mut bytes);
            format!("{bytes:?}")
        });
        assert_ne!(read.shown[0], read.shown[1], "{from}");
    }
}

#[test]
fn maps_of_report_2_are_read() {
    let text = "bill_payer_account_id,bill_billing_period_start_date,bill_billing_period_end_date,\
        line_item_line_item_type,line_item_usage_start_date,line_item_usage_end_date,line_item_product_code,\
        line_item_currency_code,line_item_unblended_cost,line_item_resource_id,product,resource_tags,product_sku\n\
        0042,2026-10-01T00:00:00.000Z,2026-11-01T00:00:00.000Z,Usage,2026-10-05T00:00:00.000Z,\
        2026-10-06T00:00:00.000Z,AmazonS3,USD,1.0,bucket,\"{\"\"product_name\"\":\"\"Amazon Simple Storage Service\"\"}\",\
        \"{\"\"user_team\"\":\"\"shop\"\",\"\"aws_created_by\"\":\"\"root\"\"}\",SKU\n";
    let read = read(text, |charge| {
        let names =
            (charge.billing_account_id.unwrap(), charge.service_name.unwrap(), charge.service_category.unwrap());
        format!("{names:?} {}", tags(charge))
    });
    assert_eq!(read.format, "AWS CUR 2.0 CSV");
    let names = r#"("0042", "Amazon Simple Storage Service", "Storage")"#;
    assert_eq!(read.shown, [format!(r#"{names} {{"team":"shop","aws_created_by":"root"}}"#)]);
}

/// An export may have one map for all kinds of tags instead of the map of the resources'.
#[test]
fn the_map_of_all_tags_of_report_2_is_read() {
    let text = "bill_payer_account_id,bill_billing_period_start_date,bill_billing_period_end_date,\
        line_item_line_item_type,line_item_usage_start_date,line_item_usage_end_date,line_item_product_code,\
        line_item_currency_code,line_item_unblended_cost,tags\n\
        0042,2026-10-01T00:00:00.000Z,2026-11-01T00:00:00.000Z,Usage,2026-10-05T00:00:00.000Z,\
        2026-10-06T00:00:00.000Z,AmazonS3,USD,1.0,\"{\"\"resourceTags/user:team\"\":\"\"shop\"\",\
        \"\"resourceTags/Owner\"\":\"\"ann\"\",\"\"resourceTags/aws:createdBy\"\":\"\"root\"\",\"\"costCategory/unit\"\":\"\"web\"\",\
        \"\"accountTag/env\"\":\"\"prod\"\"}\"\n";
    let tagged = read(text, tags);
    let expected =
        r#"{"team":"shop","Owner":"ann","aws:createdBy":"root","costCategory/unit":"web","accountTag/env":"prod"}"#;
    assert_eq!(tagged.shown, [expected]);
    // Where the map of the resources is there too, it says so itself.
    let both = text.replacen(",tags\n", ",resource_tags,tags\n", 1).replacen(
        ",1.0,",
        ",1.0,\"{\"\"user_team\"\":\"\"own\"\"}\",",
        1,
    );
    assert_eq!(read(&both, tags).shown, [r#"{"team":"own"}"#]);
}

/// A report of Data Exports in Parquet: DOUBLE amounts, moments, and tags as a map.
#[test]
fn report_2_is_read_from_parquet() {
    const SCHEMA: &str = "message report {
        OPTIONAL BYTE_ARRAY bill_payer_account_id (UTF8);
        OPTIONAL BYTE_ARRAY line_item_line_item_type (UTF8);
        OPTIONAL BYTE_ARRAY line_item_product_code (UTF8);
        OPTIONAL BYTE_ARRAY line_item_currency_code (UTF8);
        OPTIONAL INT64 bill_billing_period_start_date (TIMESTAMP(MILLIS,true));
        OPTIONAL INT64 bill_billing_period_end_date (TIMESTAMP(MILLIS,true));
        OPTIONAL INT64 line_item_usage_start_date (TIMESTAMP(MILLIS,true));
        OPTIONAL INT64 line_item_usage_end_date (TIMESTAMP(MILLIS,true));
        OPTIONAL DOUBLE line_item_unblended_cost;
        OPTIONAL group resource_tags (MAP) { REPEATED group key_value { REQUIRED BYTE_ARRAY key (UTF8); OPTIONAL BYTE_ARRAY value (UTF8); } }
    }";
    let texts = ["0042", "Usage", "AmazonS3", "USD"].map(Cell::Text);
    // The first of October and of November 2026, and an hour on the fifth of October.
    let moments = [1_790_812_800, 1_793_491_200, 1_791_158_400, 1_791_162_000].map(|at| Cell::Moment(at * 1000));
    let map = [Cell::Keys(&["user_team", "user_unit"]), Cell::Values(&["shop", "web"])];
    let all = texts.into_iter().chain(moments).chain([Cell::Double(8.9e-9)]).chain(map);
    let file = parquet_row(SCHEMA, &all.collect::<Vec<_>>());

    let mut bill = open(file.path()).unwrap();
    assert_eq!(bill.format(), "AWS CUR 2.0 Parquet");
    let warning = "line_item_unblended_cost is DOUBLE: converted by its shortest round-trip text.";
    assert!(bill.warnings().iter().any(|known| known == warning), "{:?}", bill.warnings());
    let Some(crate::normalize::Row::Charge(charge)) = bill.next_row().unwrap() else { panic!("no charge") };
    assert_eq!(costs(&charge), "0.0000000089 0.0000000089 - 0.0000000089");
    assert_eq!(tags(&charge), r#"{"team":"shop","unit":"web"}"#);
    assert_eq!(charge.billing_period_end.unwrap().to_string(), "2026-11-01 00:00:00 UTC");
    assert_eq!((charge.billing_account_id, charge.service_category), (Some("0042"), Some("Storage")));
    assert!(bill.next_row().unwrap().is_none());
}

/// A legacy report in Parquet, or as Athena gives it: the names of report 2, and a column for each tag and each product
/// attribute.
#[test]
fn a_legacy_report_under_names_of_athena_is_read() {
    const SCHEMA: &str = "message report {
        OPTIONAL BYTE_ARRAY identity_line_item_id (UTF8);
        OPTIONAL BYTE_ARRAY bill_payer_account_id (UTF8);
        OPTIONAL BYTE_ARRAY line_item_line_item_type (UTF8);
        OPTIONAL BYTE_ARRAY line_item_product_code (UTF8);
        OPTIONAL BYTE_ARRAY line_item_currency_code (UTF8);
        OPTIONAL BYTE_ARRAY product_product_name (UTF8);
        OPTIONAL BYTE_ARRAY product_region (UTF8);
        OPTIONAL BYTE_ARRAY resource_tags_aws_created_by (UTF8);
        OPTIONAL BYTE_ARRAY resource_tags_user_team (UTF8);
        OPTIONAL BYTE_ARRAY resource_tags_user_cost_center (UTF8);
        OPTIONAL INT64 bill_billing_period_start_date (TIMESTAMP(MILLIS,true));
        OPTIONAL INT64 bill_billing_period_end_date (TIMESTAMP(MILLIS,true));
        OPTIONAL INT64 line_item_usage_start_date (TIMESTAMP(MILLIS,true));
        OPTIONAL INT64 line_item_usage_end_date (TIMESTAMP(MILLIS,true));
        OPTIONAL DOUBLE line_item_unblended_cost;
    }";
    let texts = ["id-1", "0042", "Usage", "AmazonEC2", "USD", "Amazon Elastic Compute Cloud", "eu-west-1"];
    let tag_values = ["root", "shop", "007"];
    // The first of October and of November 2026, and an hour on the fifth of October.
    let moments = [1_790_812_800, 1_793_491_200, 1_791_158_400, 1_791_162_000].map(|at| Cell::Moment(at * 1000));
    let all = texts.into_iter().chain(tag_values).map(Cell::Text).chain(moments).chain([Cell::Double(0.3)]);
    let file = parquet_row(SCHEMA, &all.collect::<Vec<_>>());
    let names: Vec<&str> =
        SCHEMA.lines().filter_map(|line| line.trim().strip_prefix("OPTIONAL ")?.split([' ', ';']).nth(1)).collect();
    let csv = format!(
        "{}\n{},{},2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-05T00:00:00Z,2026-10-05T01:00:00Z,0.3\n",
        names.join(","),
        texts.join(","),
        tag_values.join(","),
    );
    let look = |charge: &crate::normalize::Charge<'_>| {
        let moments = [charge.billing_period_end, charge.charge_period_start].map(|moment| moment.unwrap().to_string());
        let names = (charge.service_name.unwrap(), charge.service_category.unwrap(), charge.region_id.unwrap());
        format!("{} {names:?} {} {}", costs(charge), moments.join(" "), tags(charge))
    };
    let (parquet, csv) = (read_file(file.path(), look), read(&csv, look));
    assert_eq!((parquet.format.as_str(), csv.format.as_str()), ("AWS CUR 2.0 Parquet", "AWS CUR 2.0 CSV"));
    let names = r#"("Amazon Elastic Compute Cloud", "Compute", "eu-west-1")"#;
    let moments = "2026-11-01 00:00:00 UTC 2026-10-05 00:00:00 UTC";
    let tags = r#"{"aws:created_by":"root","team":"shop","cost_center":"007"}"#;
    assert_eq!(parquet.shown, [format!("0.3 0.3 - 0.3 {names} {moments} {tags}")]);
    assert_eq!(csv.shown, parquet.shown);
}

/// Columns that show nothing are read as what someone says they are.
#[test]
fn a_format_can_be_named() {
    use crate::normalize::{Format, open_as};
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"Date,Cost,Currency\n10/05/2026,1.5,EUR\n").unwrap();
    assert!(open(file.path()).is_err());
    let mut bill = open_as(file.path(), Some(Format::AzureExport)).unwrap();
    assert_eq!(bill.missing_mandatory(), ["BillingAccountId", "ServiceCategory", "ServiceName"]);
    let Some(crate::normalize::Row::Charge(charge)) = bill.next_row().unwrap() else { panic!("no charge") };
    assert_eq!(costs(&charge), "1.5 1.5 - -");
}

/// A location is the name of its region where the report says that it is one, and which.
#[test]
fn regions_accounts_and_prices_have_their_names() {
    let header = format!("product/regionCode,product/location,product/locationType,pricing/currency,{LEGACY}");
    let text = ["eu-west-1,EU (Ireland),AWS Region,USD", ",Any,AWS Region,", "eu-west-1,Dublin,AWS Edge Location,USD"]
        .map(|start| format!("{start},{}", line("Usage", "1", "2,,,,,,,,,,,")))
        .concat();
    let read = read(&format!("{header}\r\n{text}"), |charge| {
        ["RegionName", "PricingCurrency", "BillingAccountType", "SubAccountType"]
            .map(|name| attribute(charge, name).unwrap_or("-"))
            .join(", ")
    });
    assert_eq!(
        read.shown,
        [
            "EU (Ireland), USD, Payer Account, Linked Account",
            "-, -, Payer Account, Linked Account",
            "-, USD, Payer Account, Linked Account",
        ]
    );
}
