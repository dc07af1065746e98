//! Values of an address that only the bills know: a provider, a category, a currency. They are read as the bills write
//! them: in the same letters where there is such a name, since two may differ by case alone, else in any case. One that
//! no bill has is refused with those that there are, since an empty page would say that nothing was spent.

use super::closed_lists::CHARGE_CATEGORIES;
use super::error::{Error, Result};
use super::query::{NONE, View};
use crate::store::billed_names;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// As the bills write them; empty for lines that name none. `None` narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KnownValues {
    pub provider: Option<String>,
    pub charge: Option<String>,
    pub currency: Option<String>,
}

impl View {
    /// The provider, category and currency that this view is narrowed to.
    ///
    /// # Errors
    /// Where bills are there and none of them has such a value.
    pub(super) async fn known_values(&self, conn: &mut PgConnection) -> Result<KnownValues> {
        let asked = ["provider", "charge", "cur"].map(|key| self.text(key));
        if asked.iter().all(Option::is_none) {
            return Ok(KnownValues::default());
        }
        let names = billed_names::read(conn).await?;
        let [provider, charge, currency] = asked;
        let mut categories = names.charge_categories;
        // Before the first bill nothing is known, and nothing refused.
        if !names.currencies.is_empty() {
            categories.extend(CHARGE_CATEGORIES.map(str::to_owned));
        }
        Ok(KnownValues {
            provider: known("provider", provider, &names.providers, true)?,
            charge: known("charge", charge, &categories, true)?,
            currency: known("cur", currency, &names.currencies, false)?,
        })
    }

    /// The currency that this view is narrowed to, as the bills write it: the text of the address is in any letter case.
    ///
    /// # Errors
    /// Where bills are there and none of them has such a currency.
    pub async fn currency(&self, conn: &mut PgConnection) -> Result<Option<String>> {
        Ok(self.known_values(conn).await?.currency)
    }

    /// The same for rows of which these are the currencies, and which the bills of today need not have, such as those
    /// of invoices and of bills that were withdrawn. Nothing is refused.
    pub(super) async fn currency_among(
        &self,
        conn: &mut PgConnection,
        own: BTreeSet<String>,
    ) -> Result<Option<String>> {
        let Some(asked) = self.text("cur") else { return Ok(None) };
        let billed = billed_names::read(conn).await?.currencies;
        Ok(Some(named(asked, &[&billed, &own]).cloned().unwrap_or_else(|| asked.to_owned())))
    }
}

// The name of these lists that is asked for, the first list first.
fn named<'a>(asked: &str, lists: &[&'a BTreeSet<String>]) -> Option<&'a String> {
    let asked_lower = asked.to_lowercase();
    let other_case = || lists.iter().find_map(|names| names.iter().find(|name| name.to_lowercase() == asked_lower));
    lists.iter().find_map(|names| names.get(asked)).or_else(other_case)
}

fn known(key: &str, asked: Option<&str>, names: &BTreeSet<String>, may_lack: bool) -> Result<Option<String>> {
    let Some(asked) = asked else { return Ok(None) };
    if may_lack && asked == NONE {
        return Ok(Some(String::new()));
    }
    match named(asked, &[names]) {
        Some(name) => Ok(Some(name.clone())),
        None if names.is_empty() => Ok(Some(asked.to_owned())),
        None => {
            let mut allowed: Vec<&str> = names.iter().map(String::as_str).collect();
            allowed.extend(may_lack.then_some(NONE));
            Err(Error::Invalid(format!("{key}={asked} is not known. Allowed: {}.", allowed.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(asked: &str, names: &[&str]) -> std::result::Result<Option<String>, String> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        known("provider", Some(asked), &names, true).map_err(|error| error.to_string())
    }

    #[test]
    fn letter_case_is_passed_over_unless_it_tells_two_names_apart() {
        assert_eq!(read("aws", &["AWS", "Azure"]), Ok(Some("AWS".into())));
        assert_eq!(read("aws", &["AWS", "aws"]), Ok(Some("aws".into())));
        assert_eq!(read("none", &["AWS"]), Ok(Some(String::new())));
    }

    #[test]
    fn another_name_is_refused_with_those_that_there_are() {
        let refused = "provider=Moon is not known. Allowed: AWS, Azure, none.";
        assert_eq!(read("Moon", &["AWS", "Azure"]), Err(refused.into()));
        assert_eq!(read("Moon", &[]), Ok(Some("Moon".into())), "no bill, nothing to choose from");
    }

    #[test]
    fn the_same_letters_go_before_another_case_in_whatever_list() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let (billed, own) = (set(&["EUR", "USD"]), set(&["Eur", "Tokens", "usd"]));
        let read = |asked: &str| named(asked, &[&billed, &own]).map(String::as_str);
        assert_eq!(["USD", "usd", "Usd"].map(read), [Some("USD"), Some("usd"), Some("USD")]);
        assert_eq!(["Eur", "eur", "tokens", "CHF"].map(read), [Some("Eur"), Some("EUR"), Some("Tokens"), None]);
    }
}
