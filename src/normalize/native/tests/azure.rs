use super::{Cell, attribute, costs, parquet_row, read, read_file, tags};
use crate::normalize::Charge;

const EA: &str = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterCategory,\
    MeterId,Quantity,Cost,BillingCurrency,ResourceLocation,ResourceId,Tags,ChargeType,Frequency,PricingModel,\
    ReservationId,benefitId,ServiceFamily";

/// A line of the header above: days of the period and the charge, the cost, and what comes from the tags on.
fn line(days: &str, cost: &str, end: &str) -> String {
    let (period, day) = days.rsplit_once(',').unwrap();
    format!("0042,{period},sub,{day},Virtual Machines,meter,1,{cost},USD,uksouth,/subscriptions/x,{end}\r\n")
}

fn periods(charge: &Charge<'_>) -> String {
    let moments =
        [charge.billing_period_start, charge.billing_period_end, charge.charge_period_start, charge.charge_period_end];
    moments.map(|moment| moment.unwrap().format("%Y-%m-%dT%H:%M").to_string()).join(" ")
}

#[test]
fn last_days_belong_to_their_periods_in_each_writing() {
    let end = ",Usage,UsageBased,OnDemand,,,Compute";
    let text = line("09/01/2023,09/30/2023,09/04/2023", "1", end)
        + &line("9/1/2023,9/30/2023,9/4/2023", "1", end)
        + &line("2023-09-01,2023-09-30,2023-09-04T00:00:00Z", "1", end)
        + &line(",,2023-09-04", "1", end)
        + &line("09/01/2023,09/30/2023,13/09/2023", "1", end);
    let read = read(&format!("\u{feff}{EA}\r\n{text}"), periods);
    assert_eq!(read.format, "Azure cost export CSV");
    let expected = "2023-09-01T00:00 2023-10-01T00:00 2023-09-04T00:00 2023-09-05T00:00";
    assert_eq!(read.shown, [expected; 4]);
    let reason = &read.rejections[0].reason;
    assert_eq!(reason, "ChargePeriodStart, from Date, is not a day like 10/31/2026 or 2026-10-31");
    assert_eq!((read.rejections[0].line, read.rejections[0].value.as_str()), (6, "13/09/2023"));
}

/// Periods are known as moments: what a receipt shows of them is written for it.
#[test]
fn a_billing_period_that_ends_before_it_begins_is_shown() {
    let text = line("09/30/2023,08/31/2023,09/04/2023", "1.5", ",Usage,UsageBased,OnDemand,,,Compute");
    let read = read(&format!("{EA}\n{text}"), periods);
    let rejection = &read.rejections[0];
    assert_eq!((rejection.column.as_str(), rejection.value.as_str()), ("BillingPeriodEnd", "2023-09-01T00:00:00Z"));
    assert!(rejection.reason.ends_with("lies before BillingPeriodStart"), "{}", rejection.reason);
    let amounts = rejection.amounts.as_ref().unwrap();
    let costs = [&amounts.billed_cost, &amounts.effective_cost].map(|cost| cost.as_ref().unwrap().to_string());
    assert_eq!(costs, ["1.5", "1.5"]);
}

#[test]
fn tags_stand_with_or_without_braces() {
    let text: String =
        [r#""""team"": ""shop"",""env"": ""prod""""#, r#""{""team"": ""shop"", ""env"": ""prod""}""#, r#""""""""#, ""]
            .map(|tags| {
                line("09/01/2023,09/30/2023,09/04/2023", "1", &format!("{tags},Usage,UsageBased,OnDemand,,,Compute"))
            })
            .concat();
    let read = read(&format!("{EA}\n{text}"), tags);
    let both = r#"{"team":"shop","env":"prod"}"#;
    assert_eq!(read.shown, [both, both, "{}", "{}"]);
    assert_eq!(read.warnings.last().unwrap(), super::super::azure_export::ONE_COST);
}

#[test]
fn charges_and_commitments_have_their_focus_words() {
    let cases = [
        ("Usage,UsageBased,OnDemand,,", "Usage Standard - -"),
        ("Usage,UsageBased,Spot,,", "Usage Dynamic - -"),
        ("Usage,UsageBased,Reservation,r,", "Usage Committed Used r"),
        ("Usage,UsageBased,SavingsPlan,,/plan", "Usage Committed Used /plan"),
        ("UnusedReservation,UsageBased,Reservation,r,", "Usage Committed Unused r"),
        ("Purchase,OneTime,Reservation,r,", "Purchase Committed - r"),
        ("Refund,OneTime,Reservation,r,", "Credit Committed - r"),
        ("Tax,OneTime,,,", "Tax - - -"),
        ("RoundingAdjustment,OneTime,,,", "Adjustment - - -"),
    ];
    let text: String = cases
        .iter()
        .map(|(end, _)| line("09/01/2023,09/30/2023,09/04/2023", "1.50", &format!(",{end},Compute")))
        .collect();
    let read = read(&format!("{EA}\n{text}"), |charge| {
        assert_eq!(costs(charge), "1.50 1.50 - -");
        let words = [
            charge.charge_category,
            charge.pricing_category,
            charge.commitment_discount_status,
            attribute(charge, "CommitmentDiscountId"),
        ];
        words.map(|word| word.unwrap_or("-")).join(" ")
    });
    assert_eq!(read.shown, cases.map(|(_, expected)| expected));
}

/// The German portal's names, and pay-as-you-go's columns: no billing account, no billing period, no charge type.
#[test]
fn other_languages_and_agreements_are_read() {
    let text = "Abonnement-GUID (SubscriptionGuid),Ressourcenstandort (ResourceLocation),UsageDateTime (UsageDateTime),\
        Kategorie der Verbrauchseinheit (MeterCategory),UsageQuantity (UsageQuantity),PreTaxCost (PreTaxCost),\
        ServiceName,Tags (Tags),Currency,Maßeinheit (UnitOfMeasure)\n\
        guid,US East,2021-02-02,Load Balancer,3,0.075,Load Balancer,,EUR,100 Hours\n";
    let read = read(text, |charge| {
        assert_eq!(attribute(charge, "x_ServiceName"), Some("Load Balancer"));
        let names =
            (charge.billing_account_id.unwrap(), charge.service_name.unwrap(), charge.service_category.unwrap());
        format!("{names:?} {} {}", costs(charge), periods(charge))
    });
    let names = r#"("guid", "Load Balancer", "Networking")"#;
    let periods = "2021-02-01T00:00 2021-03-01T00:00 2021-02-02T00:00 2021-02-03T00:00";
    assert_eq!(read.shown, [format!("{names} 0.075 0.075 - - {periods}")]);
}

#[test]
fn a_header_alone_is_a_bill_without_rows() {
    let read = read(&format!("\u{feff}{EA}\r\n"), costs);
    assert!(read.shown.is_empty() && read.rejections.is_empty());
}

/// Exports have been seen whose lines end before their header does.
#[test]
fn a_line_shorter_than_the_header_is_rejected() {
    let read = read(&format!("{EA}\n0042,09/01/2023,09/30/2023,sub\n"), costs);
    assert_eq!(read.rejections[0].reason, "the line has 4 cells, the header 19");
}

/// Exports of enterprise agreements have unit prices and no list cost: it is quantity by price, where that is known.
#[test]
fn list_and_contracted_cost_are_derived_where_prices_make_the_cost() {
    const HEADER: &str = "BillingAccountId,Date,MeterCategory,BillingCurrency,PricingCurrency,exchangeRatePricingToBilling,\
        ChargeType,PricingModel,Quantity,Cost,EffectivePrice,UnitPrice,PayGPrice";
    let cases = [
        ("USD,,,Usage,OnDemand,24,2.64,0.11,0.11,0.12", "2.64 2.64 2.88 2.64"),
        // The quantity is cut off at its eighth decimal.
        ("USD,,,Usage,OnDemand,0.03225806,0.4838709677419368,15,15,16", "0.4838709677419368 - 0.51612896 0.48387090"),
        ("USD,,,Usage,OnDemand,0.03225806,0.4838799677419368,15,15,16", "0.4838799677419368 - - -"),
        // Reserved usage: PayGPrice is not known, UnitPrice is.
        ("USD,,,Usage,Reservation,8,0.493152,0.061644,0.146,0", "0.493152 - - 1.168"),
        ("USD,,,Usage,Reservation,8,0,0,0.146,0.2", "0 0 1.6 1.168"),
        ("USD,,,UnusedReservation,Reservation,8,0.493152,0.061644,0.146,0.2", "0.493152 - - -"),
        ("EUR,USD,0.9,Usage,OnDemand,10,9,1,2,3", "9 9 27.0 18.0"),
        ("EUR,USD,,Usage,OnDemand,10,9,1,2,3", "9 9 - -"),
        ("USD,usd,7,Usage,OnDemand,10,10,1,2,3", "10 10 30 20"),
        ("USD,,,Usage,OnDemand,,10,1,2,3", "10 10 - -"),
        ("USD,,,Usage,OnDemand,x,10,1,2,3", "10 10 - -"),
    ];
    let text: String = cases.iter().map(|(end, _)| format!("0042,2023-09-04,Virtual Machines,{end}\n")).collect();
    let read = read(&format!("{HEADER}\n{text}"), costs);
    let expected = cases.map(|(_, expected)| {
        // Both costs of an export are the same.
        let mut words: Vec<&str> = expected.split(' ').collect();
        if words[1] == "-" {
            words[1] = words[0];
        }
        words.join(" ")
    });
    assert_eq!(read.shown, expected, "{:?}", read.rejections.iter().map(|one| &one.reason).collect::<Vec<_>>());
}

/// Exports from before savings plans have no pricing model; what was left unused is told by the type of charge alone.
#[test]
fn unused_reservations_are_seen_without_a_pricing_model() {
    let text = "BillingAccountId,Date,MeterCategory,BillingCurrency,ChargeType,ReservationId,Cost\n\
        0042,2023-09-04,Virtual Machines,USD,UnusedReservation,r,2\n0042,2023-09-04,Virtual Machines,USD,Usage,r,1\n";
    let read = read(text, |charge| charge.commitment_discount_status.unwrap_or("-").to_owned());
    assert_eq!(read.shown, ["Unused", "-"]);
}

#[test]
fn the_currency_of_prices_and_the_kind_of_account_are_told() {
    let text = line("09/01/2023,09/30/2023,09/04/2023", "1", ",Usage,UsageBased,OnDemand,,,Compute,EUR");
    let read = read(&format!("{EA},pricingCurrency\n{text}"), |charge| {
        ["PricingCurrency", "SubAccountType", "BillingAccountType", "x_pricingCurrency"]
            .map(|name| attribute(charge, name).unwrap_or("-"))
            .join(" ")
    });
    assert_eq!(read.shown, ["EUR Subscription - -"], "which agreement an account is of is in no column");
}

/// Exports in Parquet have days as DATE and amounts as DECIMAL or DOUBLE. Of a DECIMAL every digit counts, of a DOUBLE
/// its shortest text, which the receipt says.
#[test]
fn days_and_amounts_of_parquet_are_read() {
    const SCHEMA: &str = "message export {
        OPTIONAL BYTE_ARRAY BillingAccountId (UTF8);
        OPTIONAL BYTE_ARRAY MeterCategory (UTF8);
        OPTIONAL BYTE_ARRAY BillingCurrency (UTF8);
        OPTIONAL BYTE_ARRAY ChargeType (UTF8);
        OPTIONAL INT32 BillingPeriodStartDate (DATE);
        OPTIONAL INT32 BillingPeriodEndDate (DATE);
        OPTIONAL INT32 Date (DATE);
        OPTIONAL FIXED_LEN_BYTE_ARRAY (16) Quantity (DECIMAL(38,18));
        OPTIONAL COST;
    }";
    const DOUBLE: &str = "DOUBLE CostInBillingCurrency";
    const DECIMAL: &str = "FIXED_LEN_BYTE_ARRAY (16) CostInBillingCurrency (DECIMAL(38,28))";
    let cases = [
        (DOUBLE, Cell::Double(4.173_459_453_429_997), "4.173459453429997"),
        (DOUBLE, Cell::Double(8.9e-9), "0.0000000089"),
        (DOUBLE, Cell::Double(-0.1), "-0.1"),
        (DECIMAL, Cell::Decimal(31_000_000_000_000_000_000_000_000_001), "3.1000000000000000000000000001"),
    ];
    for (column, cost, expected) in cases {
        // The first, the last and the fourth day of October 2026, and 24 hours.
        let (days, hours) = ([20_727, 20_757, 20_730].map(Cell::Day), Cell::Decimal(24_000_000_000_000_000_001));
        let texts = ["0042", "Virtual Machines", "EUR", "Usage"].map(Cell::Text);
        let cells: Vec<Cell> = texts.into_iter().chain(days).chain([hours, cost]).collect();
        let file = parquet_row(&SCHEMA.replace("COST", column), &cells);
        let read = read_file(file.path(), |charge| {
            let quantity = charge.consumed_quantity.as_ref().unwrap();
            format!("{} {quantity} {}", costs(charge), periods(charge))
        });
        assert_eq!(read.format, "Azure cost export Parquet");
        let periods = "2026-10-01T00:00 2026-11-01T00:00 2026-10-04T00:00 2026-10-05T00:00";
        assert_eq!(read.shown, [format!("{expected} {expected} - - 24.000000000000000001 {periods}")]);
        let warning = "CostInBillingCurrency is DOUBLE: converted by its shortest round-trip text.";
        assert_eq!(read.warnings.iter().any(|told| told == warning), column == DOUBLE, "{:?}", read.warnings);
    }
}
