//! The attributes that a rule may look at.

use super::rule::AppliesTo;
use crate::focus::columns;

/// What a charge is known by, beside its tags: FOCUS columns.
pub const CHARGE_ATTRIBUTES: &[(&str, &str)] = &[
    ("provider_name", "Provider (ProviderName)"),
    ("invoice_issuer_name", "Invoice issuer (InvoiceIssuerName)"),
    ("billing_account_id", "Billing account (BillingAccountId)"),
    ("sub_account_id", "Sub account id (SubAccountId)"),
    ("sub_account_name", "Sub account name (SubAccountName)"),
    ("service_category", "Provider's category (ServiceCategory)"),
    ("service_name", "Provider's service (ServiceName)"),
    ("region_id", "Region (RegionId)"),
    ("sku_id", "SKU (SkuId)"),
    ("charge_category", "Kind of charge (ChargeCategory)"),
    ("charge_class", "Correction (ChargeClass)"),
    ("pricing_category", "Kind of price (PricingCategory)"),
    ("commitment_discount_status", "Commitment used or unused (CommitmentDiscountStatus)"),
    (RESOURCE_ID, "Resource (ResourceId)"),
    ("resource_name", "Resource name (ResourceName)"),
    ("resource_type", "Resource type (ResourceType)"),
    ("charge_description", "Description (ChargeDescription)"),
];

/// Attributes of single lines that rollup keys do not carry by themselves, beside [`COLUMN_PREFIX`].
const DETAIL_ATTRIBUTES: [&str; 4] = [RESOURCE_ID, "resource_name", "resource_type", "charge_description"];

/// What a deployment is known by, beside the attributes that its sender adds.
pub const DEPLOYMENT_ATTRIBUTES: &[(&str, &str)] = &[
    ("service", "Service as the sender names it"),
    ("environment", "Environment as the sender names it"),
    ("repo", "Repository"),
    ("path", "Path in the repository"),
    ("ref", "Branch or tag"),
    ("source", "Event source"),
    ("pipeline", "Pipeline"),
];

/// The resource of a charge.
pub const RESOURCE_ID: &str = "resource_id";

/// `column:SkuMeter` looks at any other column of the bill that is neither a cost, a quantity nor a time.
pub const COLUMN_PREFIX: &str = "column:";

/// `tag:service` looks at the tag "service": of a charge, or an attribute that a deployment's sender added.
pub const TAG_PREFIX: &str = "tag:";

/// The tag's key where the attribute is a tag. Keys that start with @ are kept for our own use.
pub fn tag_key(attribute: &str) -> Option<&str> {
    attribute.strip_prefix(TAG_PREFIX).filter(|key| !key.is_empty() && !key.starts_with('@'))
}

/// The column's name where the attribute is any other column of the bill.
pub fn column_name(attribute: &str) -> Option<&str> {
    attribute.strip_prefix(COLUMN_PREFIX).filter(|name| !name.is_empty())
}

/// Whether rollup keys carry the attribute only where a rule looks at its value.
pub fn is_detail(attribute: &str) -> bool {
    column_name(attribute).is_some() || DETAIL_ATTRIBUTES.contains(&attribute)
}

/// The attribute in words: `tag "service"`, `sub account id`.
pub fn label(attribute: &str) -> String {
    if let Some(name) = column_name(attribute) {
        return format!("column {name}");
    }
    if let Some(key) = tag_key(attribute) {
        return format!("tag “{key}”");
    }
    let all = CHARGE_ATTRIBUTES.iter().chain(DEPLOYMENT_ATTRIBUTES);
    let text = all.into_iter().find(|(name, _)| *name == attribute).map_or(attribute, |(_, label)| *label);
    text.split(" (").next().unwrap_or(text).to_lowercase().replace("sku", "SKU")
}

pub(super) fn is_of_charges(attribute: &str) -> bool {
    tag_key(attribute).is_some()
        || column_name(attribute).is_some()
        || CHARGE_ATTRIBUTES.iter().any(|(name, _)| *name == attribute)
}

pub(super) fn is_of_deployments(attribute: &str) -> bool {
    tag_key(attribute).is_some() || DEPLOYMENT_ATTRIBUTES.iter().any(|(name, _)| *name == attribute)
}

/// What to write instead of an attribute that there is not: that of the FOCUS column which is meant, in whatever
/// spelling (`invoice_id`, `InvoiceId`); for any other word all that there is.
pub(super) fn instead_of(attribute: &str, applies_to: AppliesTo) -> String {
    match (columns::canonical(&letters(attribute)), applies_to) {
        (None, _) => choices(applies_to),
        (Some(column), AppliesTo::Deployments) => {
            format!("{column} is a column of bills, which only rules for charges look at. {}", choices(applies_to))
        }
        (Some(column), _) => of_column(column),
    }
}

/// What to write instead of `column:invoice_id` and `column:BilledCost`: names after `column:` are those of the bill to
/// the letter, so that another spelling of a FOCUS column finds nothing, nor does one that is read into an attribute, a
/// cost or a time. `None` where the name is right, or the bill's own. A name of FOCUS 1.0-preview is one where the bill
/// has the newer column beside it.
pub(super) fn instead_of_column(attribute: &str, applies_to: AppliesTo) -> Option<String> {
    let name = column_name(attribute).filter(|name| !columns::is_preview_name(name))?;
    columns::canonical(&letters(name))?;
    let instead = instead_of(name, applies_to);
    (instead != written(attribute)).then_some(instead)
}

/// Whether the attribute is the resource, in whatever spelling: `resource_id`, `ResourceId`, `column:ResourceId`.
pub(super) fn is_resource(attribute: &str) -> bool {
    let name = column_name(attribute).unwrap_or(attribute);
    columns::canonical(&letters(name)) == Some("ResourceId")
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn written(attribute: &str) -> String {
    format!("Write {attribute}.")
}

fn of_column(column: &str) -> String {
    // FOCUS 1.4 names the provider anew; both columns are read into one.
    let name = if column == "ServiceProviderName" { "ProviderName" } else { column };
    let own = CHARGE_ATTRIBUTES.iter().find(|(own, _)| own.replace('_', "").eq_ignore_ascii_case(name));
    if let Some((own, _)) = own {
        return written(own);
    }
    if name == "Tags" {
        return format!("Write {TAG_PREFIX} and the key of a tag, such as {TAG_PREFIX}service.");
    }
    let is_time = name.ends_with("PeriodStart") || name.ends_with("PeriodEnd");
    if is_time || name == "BillingCurrency" || columns::is_measure(name) {
        return format!("{name} is a cost, a quantity, a time or the currency, and no rule looks at those.");
    }
    written(&format!("{COLUMN_PREFIX}{name}"))
}

fn choices(applies_to: AppliesTo) -> String {
    let names = |all: &[(&'static str, &str)]| all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (charges, deployments) = (names(CHARGE_ATTRIBUTES), names(DEPLOYMENT_ATTRIBUTES));
    let tags = format!("{TAG_PREFIX} and the key of a tag");
    let columns = format!("{COLUMN_PREFIX} and the FOCUS or own name of any other column of the bill");
    match applies_to {
        AppliesTo::Charges => format!("Write one of {charges}; or {tags}; or {columns}."),
        AppliesTo::Deployments => format!("Write one of {deployments}; or {tags}, an attribute that the sender added."),
        AppliesTo::Both => {
            format!("Write one of {charges}; of deployments one of {deployments}; or {tags}; or {columns}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_focus_column_in_any_spelling_leads_to_its_attribute() {
        for (written, instead) in [
            ("commitment_discount_id", "Write column:CommitmentDiscountId."),
            ("CommitmentDiscountId", "Write column:CommitmentDiscountId."),
            ("InvoiceId", "Write column:InvoiceId."),
            ("invoice_id", "Write column:InvoiceId."),
            ("Invoice Id", "Write column:InvoiceId."),
            ("ProviderName", "Write provider_name."),
            ("service_provider_name", "Write provider_name."),
            ("Region", "Write region_id."),
            ("ChargeSubcategory", "Write column:ChargeSubcategory."),
            ("Tags", "Write tag: and the key of a tag, such as tag:service."),
        ] {
            assert_eq!(instead_of(written, AppliesTo::Charges), instead, "{written}");
            assert_eq!(instead_of(written, AppliesTo::Both), instead, "{written}");
        }
        for column in ["BilledCost", "pricing_quantity", "ChargePeriodStart", "BillingCurrency"] {
            assert!(instead_of(column, AppliesTo::Charges).ends_with("and no rule looks at those."), "{column}");
        }
    }

    /// What is advised must be kept, and found where lines are read: a column that keys carry themselves is no detail.
    #[test]
    fn what_is_advised_is_an_attribute() {
        for version in columns::Version::RELEASED {
            for column in version.columns() {
                let instead = instead_of(column, AppliesTo::Charges);
                let Some(written) = instead.strip_prefix("Write ").and_then(|rest| rest.strip_suffix('.')) else {
                    assert!(instead.contains(column), "{instead}");
                    continue;
                };
                assert!(column == "Tags" || is_of_charges(written), "{instead}");
                assert_eq!(instead_of_column(written, AppliesTo::Charges), None, "{instead}");
            }
        }
    }

    #[test]
    fn a_column_that_no_bill_has_by_that_name_leads_to_what_is_meant() {
        for (written, instead) in [
            ("column:invoice_id", "Write column:InvoiceId."),
            ("column:invoiceid", "Write column:InvoiceId."),
            ("column:ProviderName", "Write provider_name."),
            ("column:ServiceProviderName", "Write provider_name."),
            ("column:ResourceId", "Write resource_id."),
            ("column:Tags", "Write tag: and the key of a tag, such as tag:service."),
            (
                "column:BilledCost",
                "BilledCost is a cost, a quantity, a time or the currency, and no rule looks at those.",
            ),
        ] {
            assert_eq!(instead_of_column(written, AppliesTo::Charges).as_deref(), Some(instead), "{written}");
            assert_eq!(instead_of_column(written, AppliesTo::Both).as_deref(), Some(instead), "{written}");
        }
        // The bill's own, that of the preview beside the newer one, and what is no column.
        for right in ["column:InvoiceId", "column:x_Project", "column:Region", "tag:invoice_id", "provider_name"] {
            assert_eq!(instead_of_column(right, AppliesTo::Charges), None, "{right}");
        }
    }

    #[test]
    fn the_resource_is_known_in_any_spelling() {
        for name in ["resource_id", "ResourceId", "resource id", "column:ResourceId", "column:resource_id"] {
            assert!(is_resource(name), "{name}");
        }
        for name in ["resource_name", "tag:resource_id", "column:AllocatedResourceId", "column:x_ResourceId"] {
            assert!(!is_resource(name), "{name}");
        }
    }

    #[test]
    fn any_other_word_leads_to_all_that_there_is() {
        let told = instead_of("colour", AppliesTo::Charges);
        assert!(told.starts_with("Write one of provider_name, ") && told.contains("column: and"), "{told}");
        assert!(!told.contains("repo"), "{told}");
        let told = instead_of("InvoiceId", AppliesTo::Deployments);
        assert!(told.contains("only rules for charges") && told.contains("pipeline; or tag:"), "{told}");
        let told = instead_of("tag:", AppliesTo::Both);
        assert!(told.contains("charge_description; of deployments one of service, "), "{told}");
    }
}
