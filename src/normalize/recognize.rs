//! Tells other exports apart, so that a wrong file is named instead of half read.

use super::native::Format;
use crate::focus::columns;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Focus,
    Native(Format),
    /// Something that is not read, with its article.
    Other(String),
}

/// What a file with these columns is.
pub(super) fn kind(names: &[String]) -> Kind {
    let has = |wanted: &str| names.iter().any(|name| name.trim().eq_ignore_ascii_case(wanted));
    let has_part = |part: &str| names.iter().any(|name| name.to_ascii_lowercase().contains(part));
    let is_invoice_detail = has("InvoiceDetailId") && !has("EffectiveCost") && !has("ChargePeriodStart");
    let named = if has("ContractCommitmentId") && !has("BilledCost") {
        "a FOCUS Contract Commitment dataset"
    } else if has("BillingPeriodStatus") && !has("BilledCost") {
        "a FOCUS Billing Period dataset"
    } else if is_invoice_detail {
        "a FOCUS Invoice Detail dataset"
    } else if is_focus(names) {
        return Kind::Focus;
    } else if has("cost/myCost") {
        return Kind::Native(Format::OciReport);
    } else if has("lineItem/referenceNo") || has("usage/billedQuantity") {
        "an Oracle Cloud usage report, which has no costs"
    } else if has("line_item_unblended_cost") || has("line_item_line_item_type") || has("bill_payer_account_id") {
        return Kind::Native(Format::AwsCur2);
    } else if has("lineItem/UnblendedCost") || has("identity/LineItemId") || has_part("lineitem/") {
        return Kind::Native(Format::AwsCur);
    } else if has("service.id") || has("invoice.month") || has("usage_start_time") {
        return Kind::Native(Format::GcpBilling);
    } else if has_part("metercategory") || has_part("costinbillingcurrency") || has_part("pretaxcost") {
        return Kind::Native(Format::AzureExport);
    } else if has("report_period_start") && has("interval_start") {
        "an OpenShift usage report"
    } else if has("ControllerKind") || has("RAMByteHours") || has("CPUCoreUsageAverage") {
        "an OpenCost allocation export"
    } else {
        return Kind::Other(unknown(names));
    };
    Kind::Other(named.to_owned())
}

/// FOCUS wants a cost, a moment or category, and a few more of the columns that every version has.
fn is_focus(names: &[String]) -> bool {
    let known: Vec<&str> = names.iter().filter_map(|name| columns::canonical(name.trim())).collect();
    let has = |name: &str| known.contains(&name);
    let mandatory = columns::MANDATORY.iter().filter(|name| has(name)).count();
    (has("BilledCost") || has("EffectiveCost")) && (has("ChargePeriodStart") || has("ChargeCategory")) && mandatory >= 3
}

fn unknown(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(4).map(|name| name.chars().take(40).collect()).collect();
    match names {
        [only] if only.contains(';') => "a table separated by semicolons".to_owned(),
        [only] if only.contains('\t') => "a table separated by tabs".to_owned(),
        [only] if only.trim_start().starts_with(['{', '[']) => "JSON".to_owned(),
        _ => format!("a table with the columns {}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(names: &str) -> Kind {
        kind(&names.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    fn native(format: Format) -> Kind {
        Kind::Native(format)
    }

    #[test]
    fn bills_are_known_by_their_columns() {
        let cases = [
            ("BilledCost,EffectiveCost,ChargePeriodStart", Kind::Focus),
            ("identity/LineItemId,bill/InvoiceId,lineItem/UnblendedCost", native(Format::AwsCur)),
            ("bill_payer_account_id,line_item_unblended_cost", native(Format::AwsCur2)),
            ("lineItem/referenceNo,cost/myCost", native(Format::OciReport)),
            ("billing_account_id,service.id,cost", native(Format::GcpBilling)),
            ("Kategorie der Verbrauchseinheit (MeterCategory),PreTaxCost (PreTaxCost)", native(Format::AzureExport)),
        ];
        for (names, expected) in cases {
            assert_eq!(kind_of(names), expected, "{names}");
        }
    }

    #[test]
    fn other_exports_are_named() {
        let cases = [
            ("lineItem/referenceNo,usage/billedQuantity", "an Oracle Cloud usage report, which has no costs"),
            ("report_period_start,interval_start,node", "an OpenShift usage report"),
            ("BilledCost,ChargeCategory,InvoiceDetailId,BillingAccountId", "a FOCUS Invoice Detail dataset"),
            ("date;amount", "a table separated by semicolons"),
            ("name,mail", "a table with the columns name, mail"),
        ];
        for (names, expected) in cases {
            assert_eq!(kind_of(names), Kind::Other(expected.to_owned()), "{names}");
        }
    }
}
