//! FOCUS "Cost and Usage" column names, 1.0 to 1.4, and the older names that files still carry.

/// The columns of FOCUS 1.0.
const VERSION_1_0: [&str; 43] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
];

/// What each later version added; 1.4 also dropped `ProviderName` and `PublisherName`.
const ADDED: [(Version, &[&str]); 4] = [
    (
        Version::V1_1,
        &[
            "CapacityReservationId",
            "CapacityReservationStatus",
            "CommitmentDiscountQuantity",
            "CommitmentDiscountUnit",
            "ServiceSubcategory",
            "SkuMeter",
            "SkuPriceDetails",
        ],
    ),
    (
        Version::V1_2,
        &[
            "BillingAccountType",
            "InvoiceId",
            "PricingCurrency",
            "PricingCurrencyContractedUnitPrice",
            "PricingCurrencyEffectiveCost",
            "PricingCurrencyListUnitPrice",
            "SubAccountType",
        ],
    ),
    (
        Version::V1_3,
        &[
            "AllocatedMethodDetails",
            "AllocatedMethodId",
            "AllocatedResourceId",
            "AllocatedResourceName",
            "AllocatedTags",
            "ContractApplied",
            "HostProviderName",
            "ServiceProviderName",
        ],
    ),
    (Version::V1_4, &["CommitmentProgramEligibilityDetails", "InvoiceDetailId"]),
];

const DROPPED_IN_1_4: [&str; 2] = ["ProviderName", "PublisherName"];

/// A file without one of these is quarantined: its figures cannot be placed without them.
pub const MANDATORY: [&str; 11] = [
    "BilledCost",
    "EffectiveCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ServiceCategory",
    "ServiceName",
];

/// Names of 1.0-preview, and what 1.0 calls them.
const PREVIEW_NAMES: [(&str, &str); 8] = [
    ("Provider", "ProviderName"),
    ("Publisher", "PublisherName"),
    ("InvoiceIssuer", "InvoiceIssuerName"),
    ("Region", "RegionId"),
    ("UsageQuantity", "ConsumedQuantity"),
    ("UsageUnit", "ConsumedUnit"),
    ("ChargeType", "ChargeCategory"),
    // Read as CommitmentDiscountStatus where it says "Used Commitment"; otherwise kept as it stands.
    ("ChargeSubcategory", "ChargeSubcategory"),
];

/// Columns with a fixed set of values. Only their letter case is mended ("Usage-based").
const ALLOWED_VALUES: [(&str, &[&str]); 7] = [
    ("ChargeCategory", &["Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
    ("ChargeClass", &["Correction"]),
    ("ChargeFrequency", &["One-Time", "Recurring", "Usage-Based"]),
    ("PricingCategory", &["Standard", "Dynamic", "Committed", "Other"]),
    ("CommitmentDiscountCategory", &["Spend", "Usage"]),
    ("CommitmentDiscountStatus", &["Used", "Unused"]),
    ("CapacityReservationStatus", &["Used", "Unused"]),
];

/// A version of the FOCUS specification, as the columns of a file show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The draft before 1.0, still delivered by some providers.
    Preview1_0,
    /// June 2024.
    V1_0,
    /// November 2024.
    V1_1,
    /// May 2025.
    V1_2,
    /// 1.3.
    V1_3,
    /// 1.4.
    V1_4,
}

impl Version {
    /// Every released version.
    pub const RELEASED: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3, Self::V1_4];

    /// `1.2`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Preview1_0 => "1.0-preview",
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
        }
    }

    /// The column names of a released version; those of the preview are 1.0's.
    pub fn columns(self) -> Vec<&'static str> {
        let mut names = VERSION_1_0.to_vec();
        for (version, added) in ADDED {
            if version <= self {
                names.extend_from_slice(added);
            }
        }
        if self == Self::V1_4 {
            names.retain(|name| !DROPPED_IN_1_4.contains(name));
        }
        names
    }

    /// The lowest version whose columns cover these canonical names. 1.4 is also known by what it dropped.
    pub fn of_columns(names: &[&str], has_preview_names: bool) -> Self {
        let newest = ADDED.iter().rev().find(|(_, added)| added.iter().any(|name| names.contains(name)));
        match newest {
            Some((Version::V1_3, _)) if names.contains(&"ServiceProviderName") && !names.contains(&"ProviderName") => {
                Self::V1_4
            }
            Some((version, _)) => *version,
            None if has_preview_names => Self::Preview1_0,
            None => Self::V1_0,
        }
    }
}

/// The FOCUS name of a column header, whatever its letter case: `region` is `RegionId`. `None` where FOCUS has none.
pub fn canonical(header: &str) -> Option<&'static str> {
    let added = ADDED.iter().flat_map(|(_, names)| names.iter());
    let known = VERSION_1_0.iter().chain(added).find(|name| name.eq_ignore_ascii_case(header)).copied();
    known.or_else(|| PREVIEW_NAMES.iter().find(|(old, _)| old.eq_ignore_ascii_case(header)).map(|(_, new)| *new))
}

/// Whether only 1.0-preview has a column of this name.
pub fn is_preview_name(header: &str) -> bool {
    PREVIEW_NAMES.iter().any(|(old, _)| old.eq_ignore_ascii_case(header))
}

/// The values that FOCUS allows in a column, where it lists them.
pub fn allowed_values(column: &str) -> Option<&'static [&'static str]> {
    ALLOWED_VALUES.iter().find(|(name, _)| *name == column).map(|(_, values)| *values)
}

/// Columns of OCI's FOCUS reports that number a line, or measure it under a name that does not say so.
const OCI_LINE_COLUMNS: [&str; 6] = [
    "oci_ReferenceNumber",
    "oci_BackReferenceNumber",
    "oci_UnitPriceOverage",
    "oci_BilledQuantityOverage",
    "oci_CostOverage",
    "oci_AttributedUsage",
];

/// Whether a column holds a cost, a quantity or a number of its own for every row, and so says nothing about what was
/// charged.
pub fn is_measure(column: &str) -> bool {
    const ENDINGS: [&str; 5] = ["Cost", "CostInUsd", "Quantity", "Amount", "InUsd"];
    if OCI_LINE_COLUMNS.iter().any(|name| name.eq_ignore_ascii_case(column)) {
        return true;
    }
    ENDINGS.iter().any(|ending| {
        let start = column.len().saturating_sub(ending.len());
        column.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_number_of_columns() {
        let counts = Version::RELEASED.map(|version| version.columns().len());
        assert_eq!(counts, [43, 50, 57, 65, 65]);
    }

    #[test]
    fn a_version_is_known_by_its_columns() {
        for version in Version::RELEASED {
            assert_eq!(Version::of_columns(&version.columns(), false), version);
        }
        assert_eq!(Version::of_columns(&["BilledCost"], true), Version::Preview1_0);
    }

    #[test]
    fn older_names_and_other_letter_cases_are_understood() {
        assert_eq!(canonical("Region"), Some("RegionId"));
        assert_eq!(canonical("billedcost"), Some("BilledCost"));
        assert_eq!(canonical("UsageQuantity"), Some("ConsumedQuantity"));
        assert_eq!(canonical("x_Project"), None);
    }

    #[test]
    fn costs_and_quantities_are_measures() {
        assert!(is_measure("CommitmentDiscountQuantity") && is_measure("x_BilledCostInUsd"));
        assert!(is_measure("oci_referencenumber") && !is_measure("oci_CompartmentId"));
        assert!(!is_measure("x_CostCategories") && !is_measure("ListUnitPrice") && !is_measure("x_CostCenter"));
    }
}
