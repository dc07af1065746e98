//! What real bills do to their readers, one test each.

use super::{BillError, Charge, Rejection, Row, open};
use std::io::Write;

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingAccountId,BillingCurrency,\
    BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,ServiceName,\
    ChargeFrequency,ConsumedQuantity,Tags,x_Project";
const PERIODS: &str = "2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-05T00:00:00Z,2026-10-06T00:00:00Z";

/// A row of the header above: costs, account and currency, what comes behind the service.
fn row(costs: &str, account_and_currency: &str, end: &str) -> String {
    format!("{costs},{account_and_currency},{PERIODS},Usage,Compute,Virtual machines,{end}\n")
}

struct Read {
    rejections: Vec<Rejection>,
    warnings: Vec<String>,
}

/// Reads a file and shows each charge to `look`.
fn read(text: &str, mut look: impl FnMut(&Charge<'_>)) -> Result<Read, BillError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut bill = open(file.path())?;
    let mut rejections = Vec::new();
    while let Some(row) = bill.next_row()? {
        match row {
            Row::Charge(charge) => look(&charge),
            Row::Rejected(rejection) => rejections.push(rejection),
        }
    }
    Ok(Read { rejections, warnings: bill.warnings() })
}

/// One row; the text that `look` makes of its charge, or why it was rejected.
fn one(row: &str, look: impl Fn(&Charge<'_>) -> String) -> String {
    let mut found = String::new();
    let read = read(&format!("{HEADER}\n{row}"), |charge| found = look(charge)).unwrap();
    match read.rejections.first() {
        Some(rejection) => format!("{}|{}|{}", rejection.column, rejection.value, rejection.reason),
        None => found,
    }
}

fn billed(charge: &Charge<'_>) -> String {
    charge.billed_cost.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn the_word_null_an_empty_cell_and_a_blank_are_null() {
    for null in ["NULL", "null", "", "  "] {
        let text = row(&format!("1,2,{null},3"), "A,USD", &format!("{null},{null},{null},{null}"));
        let shown = one(&text, |charge| {
            assert!(charge.list_cost.is_none() && charge.consumed_quantity.is_none() && charge.tags.is_none());
            format!("{:?}", charge.attributes().collect::<Vec<_>>())
        });
        assert_eq!(shown, "[]", "{null:?}");
    }
}

#[test]
fn moments_with_a_space_and_without_zone_are_utc() {
    let text = row("1,1,1,1", "A,USD", ",,,").replace('T', " ").replace("Z,", ",");
    let shown = one(&text, |charge| charge.charge_period_start.unwrap().to_rfc3339());
    assert_eq!(shown, "2026-10-05T00:00:00+00:00");
}

#[test]
fn letter_case_of_listed_values_is_mended_and_other_text_is_kept() {
    let text = row("1,1,1,1", "A,USD", "Usage-based,,,Usage-based").replace(",Usage,", ",USAGE,");
    let shown =
        one(&text, |charge| format!("{:?} {:?}", charge.charge_category, charge.attributes().collect::<Vec<_>>()));
    assert_eq!(shown, r#"Some("Usage") [("ChargeFrequency", "Usage-Based"), ("x_Project", "Usage-based")]"#);
}

#[test]
fn exponents_and_long_scales_keep_every_digit() {
    assert_eq!(one(&row("1.5E-7,1,1,1", "A,USD", ",,,"), billed), "0.00000015");
    assert_eq!(
        one(&row("16.2969321366366446274854190000,1,1,1", "A,USD", ",,,"), billed),
        "16.2969321366366446274854190000"
    );
    assert_eq!(one(&row("-0.00,1,1,1", "A,USD", ",,,"), billed), "0.00");
}

#[test]
fn a_cost_that_is_no_number_is_rejected_with_line_column_and_reason() {
    assert_eq!(
        one(&row("\"$10,000.00 \",1,1,1", "A,USD", ",,,"), billed),
        "BilledCost|$10,000.00 |BilledCost is not a number like 1234.56 or 1.5E-7"
    );
    assert_eq!(
        one(&row("1,NaN,1,1", "A,USD", ",,,"), billed),
        "EffectiveCost|NaN|EffectiveCost is not a number like 1234.56 or 1.5E-7"
    );
    assert_eq!(one(&row("NULL,1,1,1", "A,USD", ",,,"), billed), "BilledCost|NULL|BilledCost is null");
}

#[test]
fn other_costs_and_quantities_that_cannot_be_read_are_null_with_a_warning() {
    let text = format!("{HEADER}\n{}", row("1,1,$5,", "A,USD", ",many,,"));
    let read = read(&text, |charge| assert!(charge.list_cost.is_none() && charge.consumed_quantity.is_none())).unwrap();
    assert!(read.rejections.is_empty());
    assert_eq!(
        read.warnings,
        [
            "ContractedCost is null on 1 row.",
            "ConsumedQuantity cannot be read on 1 row and was taken as null, first on line 2.",
            "ListCost cannot be read on 1 row and was taken as null, first on line 2.",
        ]
    );
}

#[test]
fn american_dates_and_hour_30_are_rejected() {
    let american = row("1,1,1,1", "A,USD", ",,,").replace("2026-10-05T00:00:00Z", "4/1/25");
    assert!(one(&american, billed).starts_with("ChargePeriodStart|4/1/25|ChargePeriodStart is not a moment"));
    let hour_30 = row("1,1,1,1", "A,USD", ",,,").replace("2026-10-06T00", "2026-10-06T30");
    assert!(one(&hour_30, billed).starts_with("ChargePeriodEnd|2026-10-06T30:00:00Z|"));
    let backwards = row("1,1,1,1", "A,USD", ",,,").replace("2026-10-06T00", "2026-10-04T00");
    assert!(one(&backwards, billed).ends_with("ChargePeriodEnd lies before ChargePeriodStart"));
}

#[test]
fn a_blank_currency_is_rejected_and_a_virtual_one_kept() {
    assert_eq!(one(&row("1,1,1,1", "A,", ",,,"), billed), "BillingCurrency||BillingCurrency is null");
    let text = format!("{HEADER}\n{}{}", row("1,1,1,1", "A,MC", ",,,"), row("1,1,1,1", "A,JPY", ",,,"));
    let mut currencies = Vec::new();
    let read = read(&text, |charge| currencies.push(charge.billing_currency.unwrap().to_owned())).unwrap();
    assert_eq!(currencies, ["MC", "JPY"]);
    assert_eq!(read.warnings, ["BillingCurrency MC on 1 row is no ISO 4217 code; it is kept as it stands."]);
}

#[test]
fn identifiers_are_text() {
    let shown = one(&row("1,1,1,1", "0099999999999,USD", ",,,"), |charge| charge.billing_account_id.unwrap().into());
    assert_eq!(shown, "0099999999999");
}

#[test]
fn byte_order_mark_and_carriage_returns_are_no_part_of_a_cell() {
    let text = format!("\u{feff}{HEADER}\n{}", row("1,1,1,1", "A,USD", ",,,last")).replace('\n', "\r\n");
    let mut projects = Vec::new();
    read(&text, |charge| projects.extend(charge.attributes().map(|(_, value)| value.to_owned()))).unwrap();
    assert_eq!(projects, ["last"]);
}

#[test]
fn ragged_rows_are_rejected_never_shifted() {
    let text = format!("{HEADER}\n{}{}1,2\n", row("1,1,1,1", "A,USD", ",,,,extra"), row("1,1,1,1", "A,USD", ",,,"));
    let mut count = 0;
    let read = read(&text, |_| count += 1).unwrap();
    let reasons: Vec<_> = read.rejections.iter().map(|found| (found.line, found.reason.as_str())).collect();
    assert_eq!(reasons, [(2, "the line has 18 cells, the header 17"), (4, "the line has 2 cells, the header 17")]);
    assert_eq!(count, 1);
}

#[test]
fn tags_are_read_in_every_form_and_kept_where_they_cannot_be() {
    let tags = |cell: &str| {
        one(&row("1,1,1,1", "A,USD", &format!(",,{cell},")), |charge| {
            let others: Vec<_> = charge.attributes().collect();
            format!("{} {others:?}", serde_json::Value::Object(charge.tag_map()))
        })
    };
    assert_eq!(tags(r#""{""env"":""prod"",""spot"":null}""#), r#"{"env":"prod","spot":true} []"#);
    assert_eq!(tags(r#""""env"": ""prod"",""app"": ""shop""""#), r#"{"env":"prod","app":"shop"} []"#);
    assert_eq!(tags("env=prod"), r#"{} [("x_unreadable_tags", "env=prod")]"#);
    let text = format!("{HEADER}\n{}", row("1,1,1,1", "A,USD", ",,env=prod,"));
    let read = read(&text, |_| {}).unwrap();
    assert_eq!(read.warnings, ["Tags cannot be read on 1 row, first on line 2; they are kept as x_unreadable_tags."]);
}

/// Two rows alike are two charges; a refund is a charge like any other.
#[test]
fn identical_and_negative_rows_all_count() {
    let line = row("-5.25,-5.25,0,0", "A,USD", ",,,");
    let mut sum = crate::focus::Decimal::ZERO;
    read(&format!("{HEADER}\n{line}{line}"), |charge| sum += charge.billed_cost.as_ref().unwrap()).unwrap();
    assert_eq!(sum.to_string(), "-10.50");
}

#[test]
fn rows_of_one_group_have_equal_group_bytes() {
    let group_bytes = |rows: &str| {
        let mut groups = Vec::new();
        let add = |charge: &Charge<'_>| {
            let mut bytes = Vec::new();
            charge.group_bytes(&mut bytes);
            groups.push(bytes);
        };
        read(&format!("{HEADER}\n{rows}"), add).unwrap();
        groups
    };
    let same = group_bytes(&(row("1,2,3,4", "A,USD", ",9,,p") + &row("5,6,7,8", "A,USD", ",1,,p")));
    assert_eq!(same[0], same[1]);
    let other = group_bytes(&(row("1,2,3,4", "A,USD", ",9,,p") + &row("1,2,3,4", "A,USD", ",9,,q")));
    assert_ne!(other[0], other[1]);
    // What is quoted can look like the border between two cells.
    let borders =
        group_bytes(&(row("1,1,1,1", "A,USD", "\"x\"\",\"\"y\",,,z") + &row("1,1,1,1", "A,USD", "\"x\",,,\"y  \"")));
    assert_ne!(borders[0], borders[1]);
    // So can what is not: only the first of these is quoted, and its text is mended in place.
    let quotes = group_bytes(&(row("1,1,1,1", "A,USD", ",1,\"x\"\"\",y") + &row("1,1,1,1", "A,USD", ",1,x\" \",y")));
    assert_ne!(quotes[0], quotes[1]);
    // A line end within a cell is no end of a run of columns.
    let ends = group_bytes(&(row("1,1,1,1", "A,USD", "\"a\nb\",1,,c") + &row("1,1,1,1", "A,USD", "a,1,,\"b\nc\"")));
    assert_ne!(ends[0], ends[1]);
}

#[test]
fn a_file_with_column_names_only_is_a_bill_without_rows() {
    let mut count = 0;
    assert!(read(&format!("{HEADER}\n"), |_| count += 1).unwrap().rejections.is_empty());
    assert_eq!(count, 0);
    assert!(matches!(read("", |_| {}), Err(BillError::Empty)));
    assert!(matches!(read("\n\n", |_| {}), Err(BillError::Empty)));
}

#[test]
fn the_preview_version_is_read_under_todays_names() {
    let names = HEADER.replace("ChargeFrequency", "Provider").replace("x_Project", "ChargeSubcategory");
    let text = format!("{names}\n{}", row("1,1,1,1", "A,USD", "Oracle,,,Used Commitment"));
    let mut shown = String::new();
    read(&text, |charge| shown = format!("{:?} {:?}", charge.provider_name, charge.commitment_discount_status))
        .unwrap();
    assert_eq!(shown, r#"Some("Oracle") Some("Used")"#);
}

/// OCI's FOCUS reports have the names of the preview, and Oracle's own behind them. Those that differ on every line are
/// no part of a group.
#[test]
fn the_whole_preview_header_of_oci_is_read() {
    const NAMES: &str = "AvailabilityZone,BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,\
        BillingPeriodEnd,BillingPeriodStart,ChargeCategory,ChargeDescription,ChargeFrequency,ChargePeriodEnd,\
        ChargePeriodStart,ChargeSubcategory,CommitmentDiscountCategory,CommitmentDiscountId,CommitmentDiscountName,\
        CommitmentDiscountType,EffectiveCost,InvoiceIssuer,ListCost,ListUnitPrice,PricingCategory,PricingQuantity,\
        PricingUnit,Provider,Publisher,Region,ResourceId,ResourceName,ResourceType,ServiceCategory,ServiceName,SkuId,\
        SkuPriceId,SubAccountId,SubAccountName,Tags,UsageQuantity,UsageUnit,oci_ReferenceNumber,oci_CompartmentId,\
        oci_CompartmentName,oci_OverageFlag,oci_UnitPriceOverage,oci_BilledQuantityOverage,oci_CostOverage,\
        oci_AttributedUsage,oci_AttributedCost,oci_BackReferenceNumber";
    const LINE: &str = "AD-1,1.5E-7,0042,,EUR,2026-11-01T00:00:00.000Z,2026-10-01T00:00:00.000Z,Usage,Some use,\
        Usage-Based,2026-10-05T01:00Z,2026-10-05T00:00Z,Used Commitment,Spend,plan-1,Plan,Commit,1E-7,Oracle Corp,\
        2.5E-7,0.05,Committed,3,GB Months,Oracle,Publisher,eu-1,volume-1,data,Volume,Storage,Block Volume,B1,B1-1,\
        tenancy,Shop,\"{\"\"team\"\":\"\"shop\"\"}\",72,GB Hours,ref-1,compartment-1,web,N,0.06,1,0.07,0.5,1E-7,\
        ref-0\n";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(format!("{NAMES}\n{LINE}").as_bytes()).unwrap();
    let mut bill = open(file.path()).unwrap();
    assert_eq!(bill.format(), "FOCUS 1.0-preview CSV");
    assert!(bill.missing_mandatory().is_empty(), "{:?}", bill.missing_mandatory());
    let own: Vec<&str> = NAMES.split(',').filter(|name| name.starts_with("oci_")).collect();
    assert_eq!(bill.extra_columns(), own);
    let Some(Row::Charge(charge)) = bill.next_row().unwrap() else { panic!("no charge") };
    let names = [charge.provider_name, charge.invoice_issuer_name, charge.region_id, charge.sku_id];
    assert_eq!(names, ["Oracle", "Oracle Corp", "eu-1", "B1"].map(Some));
    let words = [charge.charge_category, charge.pricing_category, charge.commitment_discount_status];
    assert_eq!((words, charge.charge_class), (["Usage", "Committed", "Used"].map(Some), None));
    let amounts = [&charge.billed_cost, &charge.effective_cost, &charge.list_cost, &charge.consumed_quantity];
    let amounts = amounts.map(|amount| amount.as_ref().unwrap().to_string());
    assert_eq!(amounts, ["0.00000015", "0.0000001", "0.00000025", "72"]);
    assert!(charge.contracted_cost.is_none());
    let attributes: Vec<String> = charge.attributes().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        attributes.join(" "),
        "AvailabilityZone=AD-1 ChargeFrequency=Usage-Based ChargeSubcategory=Used Commitment \
         CommitmentDiscountCategory=Spend CommitmentDiscountId=plan-1 CommitmentDiscountName=Plan \
         CommitmentDiscountType=Commit ListUnitPrice=0.05 PricingUnit=GB Months PublisherName=Publisher \
         SkuPriceId=B1-1 ConsumedUnit=GB Hours oci_CompartmentId=compartment-1 oci_CompartmentName=web \
         oci_OverageFlag=N"
    );
    let measures: Vec<&str> = charge.measures().map(|(name, _)| name.trim_start_matches("oci_")).collect();
    assert_eq!(
        measures.join(" "),
        "ReferenceNumber UnitPriceOverage BilledQuantityOverage CostOverage AttributedUsage AttributedCost \
         BackReferenceNumber"
    );
}

/// A correction sits in the billing period that it is invoiced in, and tells the period that it corrects.
#[test]
fn a_charge_may_lie_outside_its_billing_period() {
    let text = row("1,1,1,1", "A,USD", ",,,").replace("2026-10-05", "2026-08-05").replace("2026-10-06", "2026-08-06");
    let shown = one(&text, |charge| {
        format!(
            "{} {}",
            charge.billing_period_start.unwrap().date_naive(),
            charge.charge_period_start.unwrap().date_naive()
        )
    });
    assert_eq!(shown, "2026-10-01 2026-08-05");
}

#[test]
fn other_costs_are_measures_and_no_part_of_a_group() {
    let names = HEADER.replace("x_Project", "x_BilledCostInUsd");
    let text = format!("{names}\n{}", row("1,1,1,1", "A,EUR", ",,,1.08"));
    let mut shown = String::new();
    read(&text, |charge| {
        shown = format!("{:?} {:?}", charge.measures().collect::<Vec<_>>(), charge.attributes().collect::<Vec<_>>());
    })
    .unwrap();
    assert_eq!(shown, r#"[("x_BilledCostInUsd", "1.08")] []"#);
}

#[test]
fn an_endless_identifier_is_rejected_before_it_breaks_an_index() {
    let found = one(&row("1,1,1,1", &format!("{},USD", "A".repeat(401)), ",,,"), billed);
    assert!(
        found.starts_with("BillingAccountId|AAAA") && found.ends_with("|BillingAccountId is longer than 400 bytes")
    );
}

/// Where the newer column is null the older one names the provider, and its length is bound as well.
#[test]
fn the_older_of_two_provider_columns_is_bound_too() {
    let names = HEADER.replace("x_Project", "ServiceProviderName,ProviderName");
    for (length, says) in [(400, ""), (401, "ProviderName is longer than 400 bytes")] {
        let text = format!("{names}\n{}", row("1,1,1,1", "A,USD", &format!(",,,,{}", "P".repeat(length))));
        let mut provider = None;
        let read = read(&text, |charge| provider = charge.provider_name.map(str::len)).unwrap();
        assert_eq!(read.rejections.first().map_or("", |rejection| rejection.reason.as_str()), says);
        assert_eq!(provider, says.is_empty().then_some(length));
    }
}

/// I04: odd files, and what becomes of each: nothing is read into the wrong column, and every row is a charge or is
/// named with the reason.
#[test]
fn odd_files_have_a_documented_end() {
    let good = format!("{HEADER}\n{}", row("1.5,1,1,1", "A,USD", ",,,p"));
    let read_bytes = |bytes: &[u8]| -> Result<(Vec<String>, Vec<String>), String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut bill = open(file.path()).map_err(|error| error.to_string())?;
        let (mut charges, mut rejections) = (Vec::new(), Vec::new());
        while let Some(row) = bill.next_row().map_err(|error| error.to_string())? {
            match row {
                Row::Charge(charge) => {
                    let attributes: Vec<_> = charge.attributes().map(|(_, value)| value).collect();
                    let account = charge.billing_account_id.unwrap_or("-");
                    charges.push(format!("{} {account} {attributes:?}", billed(&charge)));
                }
                Row::Rejected(rejection) => rejections.push(rejection.reason),
            }
        }
        Ok((charges, rejections))
    };
    let same: (Vec<String>, Vec<String>) = (vec!["1.5 A [\"p\"]".into()], Vec::new());
    let utf_16: Vec<u8> = [0xff, 0xfe].into_iter().chain(good.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let reordered = {
        let lines: Vec<Vec<&str>> = good.lines().map(|line| line.split(',').rev().collect()).collect();
        lines.iter().map(|cells| cells.join(",") + "\n").collect::<String>()
    };
    for (what, text) in [
        ("a byte order mark", format!("\u{feff}{good}")),
        ("CRLF", good.replace('\n', "\r\n")),
        ("CR alone", good.replace('\n', "\r")),
        ("no line end at the end", good.trim_end().to_owned()),
        ("blank lines", good.replace('\n', "\n\n")),
        ("columns in another order", reordered),
        ("names in another case", good.replace("BilledCost", "billedcost")),
    ] {
        assert_eq!(read_bytes(text.as_bytes()), Ok(same.clone()), "{what}");
    }
    let refused = |bytes: &[u8], says: &str| {
        let error = read_bytes(bytes).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    refused(&utf_16, "UTF-16");
    refused(good.replace("EffectiveCost", "billedcost").as_bytes(), "column BilledCost stands in it twice");
    refused(b"\0\0\0", "NUL");
    let rejected = |bytes: &[u8], says: &str| {
        let (charges, rejections) = read_bytes(bytes).unwrap();
        assert_eq!((charges.len(), rejections.len()), (1, 1), "{says}: {charges:?} {rejections:?}");
        assert!(rejections[0].contains(says), "{rejections:?}");
    };
    let with = |line: &[u8]| [good.as_bytes(), line].concat();
    rejected(&with(row("1,1,1,1", "A\0,USD", ",,,").as_bytes()), "NUL byte");
    rejected(&with(b"caf\xe9,1\n"), "not UTF-8 text");
    rejected(&with(row("1,1,1,1", "A,USD", ",,,,extra").as_bytes()), "18 cells, the header 17");
    rejected(&with(b"1,1\n"), "2 cells, the header 17");
    // A column that FOCUS does not know is kept under its own name, and one that is missing is said.
    let unknown = good.replace("x_Project", "Farbe");
    assert_eq!(read_bytes(unknown.as_bytes()), Ok(same));
    let fewer: String = good.lines().map(|line| line.split_once(',').unwrap().1.to_owned() + "\n").collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(fewer.as_bytes()).unwrap();
    assert_eq!(open(file.path()).unwrap().missing_mandatory(), ["BilledCost"]);
}

/// I06: deep, repeated and huge JSON in a bill: a line that cannot be taken at its word is rejected, the next is read,
/// and numbers keep every digit of their text.
#[test]
fn odd_json_is_rejected_by_the_line_and_numbers_stay_text() {
    let line = |members: &str| {
        format!(
            "{{\"billing_account_id\":\"00-AA\",\"service\":{{\"description\":\"Compute\"}},\
             \"usage_start_time\":\"2026-10-05 23:00:00 UTC\",\"usage_end_time\":\"2026-10-06 00:00:00 UTC\",\
             \"invoice\":{{\"month\":\"202610\"}},\"currency\":\"USD\",\"cost_type\":\"regular\",{members}}}\n"
        )
    };
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let whole = "123456789012345678901234567890";
    let text = [
        line("\"cost\":1"),
        line("\"cost\":1,\"cost\":2"),
        line(&format!("\"cost\":1,\"other\":{}", deep("[", "]"))),
        line(&format!("\"cost\":1,\"other\":{}", deep("{\"a\":", "}"))),
        line(&format!("\"cost\":{}", deep("[", "]"))),
        line(&format!("\"cost\":{whole}")),
        line("\"cost\":9007199254740993.000000000000000000001"),
        line("\"cost\":1e400"),
        line("\"cost\":1e99999"),
        line("\"cost\":NaN"),
        "[".repeat(10_000) + "\n",
        line("\"cost\":2"),
    ]
    .concat();
    let mut costs = Vec::new();
    let read = read(&text, |charge| costs.push(billed(charge))).unwrap();
    let huge = format!("1{}", "0".repeat(400));
    assert_eq!(costs, ["1", "1", "1", whole, "9007199254740993.000000000000000000001", &huge, "2"]);
    let reasons: Vec<(u64, &str)> = read.rejections.iter().map(|found| (found.line, found.reason.as_str())).collect();
    assert_eq!(reasons.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5, 9, 10, 11], "{reasons:?}");
    assert_eq!(reasons[0].1, "a member stands in the line twice");
    assert_eq!(reasons[4].1, "the line is not a JSON object");
}

/// Whatever the bytes, a file is read, refused or rejected by the line; nothing panics, and every line is told of.
mod any_bytes {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            if let Ok(mut bill) = open(file.path()) {
                while let Ok(Some(_)) = bill.next_row() {}
            }
        }

        #[test]
        fn in_a_good_file_never_make_rows_vanish(
            changes in proptest::collection::vec((400_usize..2000, any::<u8>()), 0..4),
        ) {
            let good = format!("{HEADER}\n{}", row("1.5,1,1,1", "A,USD", ",,\"{}\",p").repeat(12));
            let mut bytes = good.clone().into_bytes();
            for (at, byte) in &changes {
                if let Some(place) = bytes.get_mut(*at) {
                    *place = *byte;
                }
            }
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let mut bill = open(file.path()).unwrap();
            let (mut charges, mut rejections) = (0, 0);
            while let Some(row) = bill.next_row().unwrap() {
                match row {
                    Row::Charge(_) => charges += 1,
                    Row::Rejected(_) => rejections += 1,
                }
            }
            // A quote can swallow the rows behind it, but then its own row is rejected.
            prop_assert!(charges == 12 || rejections > 0, "{charges} charges");
        }
    }
}
