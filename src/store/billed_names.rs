//! What the bills name: providers, charge categories and currencies, so that an address that names another is refused.

use sqlx::PgConnection;
use std::collections::BTreeSet;

/// As the bills write them, without those that name nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BilledNames {
    /// FOCUS ProviderName.
    pub providers: BTreeSet<String>,
    /// FOCUS ChargeCategory.
    pub charge_categories: BTreeSet<String>,
    /// FOCUS BillingCurrency.
    pub currencies: BTreeSet<String>,
}

/// Reads the names of all bills, those that closed months were made of included.
pub async fn read(conn: &mut PgConnection) -> sqlx::Result<BilledNames> {
    let rows = sqlx::query!(
        r#"SELECT provider_name AS "provider_name!", charge_category AS "charge_category!",
                  billing_currency AS "billing_currency!"
           FROM monthly_cost
           UNION
           SELECT provider_name, charge_category, billing_currency FROM closed_cost"#
    )
    .fetch_all(conn)
    .await?;
    let mut names = BilledNames::default();
    for row in rows {
        names.providers.insert(row.provider_name);
        names.charge_categories.insert(row.charge_category);
        names.currencies.insert(row.billing_currency);
    }
    for list in [&mut names.providers, &mut names.charge_categories, &mut names.currencies] {
        list.remove("");
    }
    Ok(names)
}
