//! Tells other exports apart, so that a wrong file is named instead of half read.

use super::format::Format;
use crate::focus::columns;

/// Totals of invoices; they are read elsewhere.
pub(super) const INVOICE_DETAIL: &str = "a FOCUS Invoice Detail dataset";
pub(super) const INVOICE_LIST: &str = "a list of invoices";
/// Reports of how a cluster was used; they are read elsewhere.
pub(super) const OPENSHIFT: &str = "an OpenShift usage report";
pub(super) const OPENCOST: &str = "an OpenCost allocation export";

/// What a file with these columns is, or what it looks like, with its article.
pub(super) fn format(names: &[String]) -> Result<Format, String> {
    let has = |wanted: &str| names.iter().any(|name| name.trim().eq_ignore_ascii_case(wanted));
    let has_part = |part: &str| names.iter().any(|name| name.to_ascii_lowercase().contains(part));
    let is_invoice_detail = has("InvoiceDetailId") && !has("EffectiveCost") && !has("ChargePeriodStart");
    let named = if has("ContractCommitmentId") && !has("BilledCost") {
        "a FOCUS Contract Commitment dataset"
    } else if has("BillingPeriodStatus") && !has("BilledCost") {
        "a FOCUS Billing Period dataset"
    } else if is_invoice_detail {
        INVOICE_DETAIL
    } else if is_focus(names) {
        return Ok(Format::Focus);
    } else if has("cost/myCost") {
        return Ok(Format::OciReport);
    } else if has("lineItem/referenceNo") || has("usage/billedQuantity") {
        "an Oracle Cloud usage report, which has no costs"
    } else if has("line_item_unblended_cost") || has("line_item_line_item_type") || has("bill_payer_account_id") {
        return Ok(Format::AwsCur2);
    } else if has("lineItem/UnblendedCost") || has("identity/LineItemId") || has_part("lineitem/") {
        return Ok(Format::AwsCur);
    } else if has("service.id") || has("invoice.month") || has("usage_start_time") {
        return Ok(Format::GcpBilling);
    } else if has_part("metercategory") || has_part("costinbillingcurrency") || has_part("pretaxcost") {
        return Ok(Format::AzureExport);
    } else if has("report_period_start") && has("interval_start") {
        OPENSHIFT
    } else if has("ControllerKind") || has("RAMByteHours") || has("CPUCoreUsageAverage") {
        OPENCOST
    } else if has("InvoiceId") && has("BillingCurrency") && has("BilledCost") && !has("EffectiveCost") {
        INVOICE_LIST
    } else {
        return Err(unknown(names));
    };
    Err(named.to_owned())
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

    fn of(names: &str) -> Result<Format, String> {
        format(&names.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn bills_are_known_by_their_columns() {
        let cases = [
            ("BilledCost,EffectiveCost,ChargePeriodStart", Format::Focus),
            ("identity/LineItemId,bill/InvoiceId,lineItem/UnblendedCost", Format::AwsCur),
            ("bill_payer_account_id,line_item_unblended_cost", Format::AwsCur2),
            ("lineItem/referenceNo,cost/myCost", Format::OciReport),
            ("billing_account_id,service.id,cost", Format::GcpBilling),
            ("Kategorie der Verbrauchseinheit (MeterCategory),PreTaxCost (PreTaxCost)", Format::AzureExport),
        ];
        for (names, expected) in cases {
            assert_eq!(of(names), Ok(expected), "{names}");
        }
    }

    #[test]
    fn other_exports_are_named() {
        let cases = [
            ("lineItem/referenceNo,usage/billedQuantity", "an Oracle Cloud usage report, which has no costs"),
            ("report_period_start,interval_start,node", "an OpenShift usage report"),
            ("BilledCost,ChargeCategory,InvoiceDetailId,BillingAccountId", "a FOCUS Invoice Detail dataset"),
            ("InvoiceId,BillingCurrency,BilledCost,InvoiceIssuerName", "a list of invoices"),
            ("date;amount", "a table separated by semicolons"),
            ("name,mail", "a table with the columns name, mail"),
        ];
        for (names, expected) in cases {
            assert_eq!(of(names), Err(expected.to_owned()), "{names}");
        }
    }
}
