use super::{attribute, costs, read, tags};

const HEADER: &str = "billing_account_id,service.description,sku.id,usage_start_time,usage_end_time,project.id,labels,\
    location.location,location.region,export_time,cost,currency,usage.amount,credits,invoice.month,cost_type,cost_at_list";

/// A line: labels, cost, credits, month and cost type.
fn line(labels: &str, cost: &str, credits: &str, month: &str, cost_type: &str) -> String {
    format!(
        "00-AA,Compute Engine,sku,2026-10-05 23:00:00 UTC,2026-10-06 00:00:00 UTC,proj,\"{labels}\",us,us-west1,\
         2026-10-06 02:00:00.123 UTC,{cost},USD,1E3,\"{credits}\",{month},{cost_type},\n"
    )
}

#[test]
fn credits_stand_against_the_cost_to_the_last_digit() {
    let cases = [
        ("1.10", "[]", "1.10 1.10 - 1.10"),
        ("5e-06", "[{'name': 'Free Trial', 'amount': -5e-06, 'full_name': None}]", "0.000000 0.000000 - 0.000005"),
        ("0.3", "[{\"\"amount\"\":-0.1},{\"\"amount\"\":\"\"-0.2000000000000000000001\"\"}]", ""),
        ("2", "", "2 2 - 2"),
        ("2", "NULL", "2 2 - 2"),
    ];
    let text: String = cases.iter().map(|(cost, credits, _)| line("[]", cost, credits, "202610", "regular")).collect();
    let read = read(&format!("{HEADER}\n{text}"), costs);
    assert_eq!(read.format, "Google Cloud billing CSV");
    let mut expected = cases.map(|(_, _, expected)| expected);
    expected[2] = "-0.0000000000000000000001 -0.0000000000000000000001 - 0.3";
    assert_eq!(read.shown, expected);
}

#[test]
fn credits_that_cannot_be_read_reject_their_line() {
    let text: String = ["[{'name': 'x'}]", "[{'amount': None}]", "[{'amount': 'x'}]", "credit"]
        .map(|credits| line("[]", "1", credits, "202610", "regular"))
        .concat();
    let read = read(&format!("{HEADER}\n{text}{}", line("[]", "x", "", "202613", "regular")), costs);
    let reasons: Vec<&str> = read.rejections.iter().map(|rejection| rejection.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "BilledCost, from credits, is not a list of credits with an amount each",
            "BilledCost, from credits, has a credit without an amount",
            "BilledCost, from credits, has a credit whose amount is not a number",
            "BilledCost, from credits, is not a list of credits with an amount each",
            "BillingPeriodStart, from invoice.month, is not a month like 202610",
        ]
    );
}

/// Tables that were flattened have one amount instead of a list; where a row has both, the list says it all.
#[test]
fn a_flattened_credit_stands_against_the_cost_too() {
    let amount = HEADER.replace(",credits,", ",credits.amount,");
    let text: String = ["-30", "", "0", "-1e1", "[{'amount': -4}]", "x"]
        .map(|credit| line("[]", "100", credit, "202610", "regular"))
        .concat();
    let flat = read(&format!("{amount}\n{text}"), |charge| {
        let credit = charge.measures().find(|(name, _)| *name == "credits.amount").map_or("-", |(_, value)| value);
        format!("{} {credit}", costs(charge))
    });
    assert_eq!(flat.format, "Google Cloud billing CSV");
    assert_eq!(
        flat.shown,
        ["70 70 - 100 -30", "100 100 - 100 -", "100 100 - 100 -", "90 90 - 100 -1e1", "96 96 - 100 [{'amount': -4}]"]
    );
    assert_eq!(flat.rejections[0].reason, "BilledCost, from credits.amount, is not a number");
    // A row for each credit of a line would count its cost as often, and looks like any other.
    let warning = super::super::gcp_billing::ONE_CREDIT_A_ROW;
    assert!(flat.warnings.iter().any(|told| told == warning), "{:?}", flat.warnings);
    let listed = read(&format!("{HEADER}\n{}", line("[]", "100", "", "202610", "regular")), costs);
    assert!(!listed.warnings.iter().any(|told| told == warning), "{:?}", listed.warnings);

    let both = HEADER.replace(",credits,", ",credits.amount,credits,");
    let text = line("[]", "100", "-30\",\"[{'amount': -20}]", "202610", "regular")
        + &line("[]", "100", "-30\",\"[]", "202610", "regular");
    let read = read(&format!("{both}\n{text}"), costs);
    assert_eq!(read.shown, ["80 80 - 100", "70 70 - 100"]);
}

/// The invoice's month decides, wherever the usage lies.
#[test]
fn the_month_of_the_invoice_is_the_billing_period() {
    let text = line("[]", "1", "", "202612", "tax") + &line("[]", "1", "", "202609", "rounding_error");
    let read = read(&format!("{HEADER}\n{text}"), |charge| {
        let (start, end) = (charge.billing_period_start.unwrap(), charge.billing_period_end.unwrap());
        let usage = charge.charge_period_start.unwrap();
        let category = charge.charge_category.unwrap();
        format!("{category} {} {} {}", start.format("%F"), end.format("%F"), usage.format("%FT%H:%M"))
    });
    assert_eq!(
        read.shown,
        ["Tax 2026-12-01 2027-01-01 2026-10-05T23:00", "Adjustment 2026-09-01 2026-10-01 2026-10-05T23:00"]
    );
}

#[test]
fn labels_are_tags_and_what_differs_on_every_line_is_a_measure() {
    let text = line("[{'key': 'team', 'value': 'shop'}]", "1", "", "202610", "regular")
        + &line("[{\"\"key\"\": \"\"team\"\", \"\"value\"\": \"\"shop\"\"}]", "1", "", "202610", "regular");
    let read = read(&format!("{HEADER}\n{text}"), |charge| {
        let measures: Vec<&str> = charge.measures().map(|(name, _)| name).collect();
        assert_eq!(measures, ["export_time"]);
        assert_eq!(attribute(charge, "location.location"), Some("us"));
        let names = (charge.region_id.unwrap(), charge.service_category.unwrap(), charge.sub_account_id.unwrap());
        format!("{names:?} {}", tags(charge))
    });
    assert_eq!(read.shown, [r#"("us-west1", "Compute", "proj") {"team":"shop"}"#; 2]);
}

#[test]
fn labels_that_cannot_be_read_are_kept_and_told() {
    let text = ["team=shop", "[{'name': 'x'}]", "[]", "team=shop"]
        .map(|labels| line(labels, "1", "", "202610", "regular"))
        .concat();
    let read = read(&format!("{HEADER}\n{text}"), |charge| {
        format!("{} {}", tags(charge), attribute(charge, "x_unreadable_tags").unwrap_or("-"))
    });
    assert_eq!(read.shown, ["{} team=shop", r#"{} [{"name": "x"}]"#, "{} -", "{} team=shop"]);
    let told = "Tags cannot be read on 3 rows, first on line 2; they are kept as x_unreadable_tags.";
    assert!(read.warnings.iter().any(|warning| warning == told), "{:?}", read.warnings);
}

/// What a group shares is made of the row that asks, whether the rows before it asked or not.
#[test]
fn what_rows_share_is_made_of_each_that_asks() {
    let text = ["a", "b", "c", "d"]
        .map(|key| line(&format!("[{{'key': '{key}', 'value': 'x'}}]"), "1", "", "202610", "regular"))
        .concat();
    let read = read(&format!("{HEADER}\n{text}"), |charge| {
        if charge.line % 2 == 0 { "-".to_owned() } else { format!("{} {}", tags(charge), tags(charge)) }
    });
    assert_eq!(read.shown, ["-", r#"{"b":"x"} {"b":"x"}"#, "-", r#"{"d":"x"} {"d":"x"}"#]);
}

/// A line that is rejected for another reason tells what its cost is, the credits against it included.
#[test]
fn amounts_of_rejected_lines_have_their_credits() {
    let text = line("[]", "1.5", "[{'amount': -0.25}]", "202610", "regular").replace(",USD,", ",,");
    let read = read(&format!("{HEADER}\n{text}"), costs);
    assert_eq!(read.rejections[0].reason, "BillingCurrency, from currency, is null");
    let amounts = read.rejections[0].amounts.as_ref().unwrap();
    let costs = [&amounts.billed_cost, &amounts.effective_cost].map(|cost| cost.as_ref().unwrap().to_string());
    assert_eq!(costs, ["1.25", "1.25"]);
}

/// The same line as BigQuery writes it: any order, nested, numbers as numbers or text.
#[test]
fn objects_say_the_same_as_the_table() {
    let lines = concat!(
        r#"{"usage_start_time":"2026-10-05 23:00:00 UTC","usage_end_time":"2026-10-06 00:00:00 UTC","#,
        r#""billing_account_id":"00-AA","service":{"id":"6F81","description":"Compute Engine"},"sku":{"id":"sku"},"#,
        r#""labels":[{"key":"te\"am","value":"shop"}],"project":{"id":"proj","labels":[]},"currency":"USD","#,
        r#""location":{"location":"us","region":"us-west1"},"cost":"0.3","usage":{"amount":1E3},"novelty":{"a":1},"#,
        r#""credits":[{"name":"x","amount":-0.1,"full_name":null}],"invoice":{"month":"202610"},"cost_type":"regular"}"#,
        "\n\n{\"billing_account_id\":\n",
        r#"{"billing_account_id":"00-AA","cost":1}"#,
    );
    let read = read(lines, |charge| {
        assert_eq!(attribute(charge, "x_other_members"), Some(r#"{"novelty":{"a":1}}"#));
        assert_eq!(attribute(charge, "service.id"), Some("6F81"));
        let names = (charge.line, charge.region_id.unwrap(), charge.service_category.unwrap());
        format!("{names:?} {} {}", costs(charge), tags(charge))
    });
    assert_eq!(read.format, "Google Cloud billing JSON lines");
    assert_eq!(read.shown, [r#"(1, "us-west1", "Compute") 0.2 0.2 - 0.3 {"te\"am":"shop"}"#]);
    let rejected: Vec<_> =
        read.rejections.iter().map(|rejection| (rejection.line, rejection.reason.as_str())).collect();
    assert_eq!(
        rejected,
        [(3, "the line is not a JSON object"), (4, "BillingPeriodStart, from invoice.month, is null")]
    );
}

/// An adjustment may be of anything, and tax of no project.
#[test]
fn frequencies_and_kinds_of_accounts_are_told() {
    let text = ["regular", "tax", "credit", "adjustment"].map(|kind| line("[]", "1", "", "202610", kind)).concat();
    let text = text + &line("[]", "1", "", "202610", "tax").replace(",proj,", ",,");
    let read = read(&format!("{HEADER}\n{text}"), |charge| {
        ["ChargeFrequency", "BillingAccountType", "SubAccountType"]
            .map(|name| attribute(charge, name).unwrap_or("-"))
            .join(", ")
    });
    assert_eq!(
        read.shown,
        [
            "Usage-Based, Billing Account, Project",
            "One-Time, Billing Account, Project",
            "One-Time, Billing Account, Project",
            "-, Billing Account, Project",
            "One-Time, Billing Account, -",
        ]
    );
}
