use crate::focus::is_iso_currency;
use std::collections::BTreeMap;

/// Most currencies, and most columns, that are named one by one.
const NAMED_MAX: usize = 50;

/// What was read but should be looked at, counted over the rows of a file.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    nulls: BTreeMap<&'static str, u64>,
    /// Rows, and the first of their lines.
    unreadable: BTreeMap<&'static str, (u64, u64)>,
    other_currencies: BTreeMap<String, u64>,
    unreadable_tags: Option<(u64, u64)>,
    last_iso_currency: String,
}

impl Warnings {
    pub fn null(&mut self, column: &'static str) {
        *self.nulls.entry(column).or_default() += 1;
    }

    pub fn unreadable(&mut self, column: &'static str, line: u64) {
        self.unreadable.entry(column).or_insert((0, line)).0 += 1;
    }

    /// Counts what is to be said of a row.
    pub fn of_row(&mut self, line: u64, has_unreadable_tags: bool, has_null_account: bool, currency: Option<&str>) {
        if has_unreadable_tags {
            self.unreadable_tags.get_or_insert((0, line)).0 += 1;
        }
        if has_null_account {
            self.null("BillingAccountId");
        }
        let Some(currency) = currency else { return };
        if currency == self.last_iso_currency {
            return;
        }
        if is_iso_currency(currency) {
            self.last_iso_currency.clear();
            self.last_iso_currency.push_str(currency);
        } else if self.other_currencies.len() < NAMED_MAX || self.other_currencies.contains_key(currency) {
            *self.other_currencies.entry(currency.to_owned()).or_default() += 1;
        }
    }

    /// A sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let nulls = self.nulls.iter().map(|(column, count)| format!("{column} is null on {}.", rows(*count)));
        let unreadable = self.unreadable.iter().map(|(column, (count, line))| {
            format!("{column} cannot be read on {} and was taken as null, first on line {line}.", rows(*count))
        });
        let currencies = self.other_currencies.iter().map(|(currency, count)| {
            format!("BillingCurrency {currency} on {} is no ISO 4217 code; it is kept as it stands.", rows(*count))
        });
        let tags = self.unreadable_tags.iter().map(|(count, line)| {
            let rows = rows(*count);
            format!("Tags cannot be read on {rows}, first on line {line}; they are kept as x_unreadable_tags.")
        });
        nulls.chain(unreadable).chain(currencies).chain(tags).collect()
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
