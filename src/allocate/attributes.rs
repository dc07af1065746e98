//! The attributes that a rule may look at.

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
