//! The column names of a native file, found whatever their spelling.

use std::cell::Cell;

/// The position of a column that the file lacks; its cells are empty.
pub(in crate::normalize) const ABSENT: usize = usize::MAX;

/// The columns of a file under names that its variants share.
pub(in crate::normalize) struct Columns {
    /// Each has a name of its own.
    pub names: Vec<String>,
    keys: Vec<String>,
    /// Those that were found, and so are read.
    found: Vec<Cell<bool>>,
    /// Those of a name that an earlier one has.
    repeated: Vec<Repeated>,
}

/// A column of a name that an earlier one has.
pub(in crate::normalize) struct Repeated {
    /// What the file calls both.
    pub name: String,
    /// The earlier one.
    pub first: usize,
    /// This one.
    pub column: usize,
}

impl Columns {
    pub fn new(names: &[String]) -> Self {
        let mut columns = Self {
            names: Vec::with_capacity(names.len()),
            keys: Vec::new(),
            found: vec![Cell::new(false); names.len()],
            repeated: Vec::new(),
        };
        for (column, name) in names.iter().enumerate() {
            let name = match name.trim() {
                "" => format!("column_{}", column + 1),
                name => name.to_owned(),
            };
            columns.keys.push(key(&name));
            let own = match columns.names.iter().position(|known| *known == name) {
                None => name,
                Some(first) => {
                    let own = numbered(&name, |own| columns.names.iter().chain(names).any(|known| known == own));
                    columns.repeated.push(Repeated { name, first, column });
                    own
                }
            };
            columns.names.push(own);
        }
        columns
    }

    /// The columns of a name that an earlier one has.
    pub fn repeated(&self) -> &[Repeated] {
        &self.repeated
    }

    /// The key of a column, such as `lineitemusageamount`.
    pub fn key(&self, column: usize) -> &str {
        self.keys.get(column).map_or("", String::as_str)
    }

    /// The first column that has one of these keys, the first key before the others.
    pub fn find(&self, keys: &[&str]) -> usize {
        let column = keys.iter().find_map(|wanted| self.keys.iter().position(|key| key == wanted)).unwrap_or(ABSENT);
        if let Some(found) = self.found.get(column) {
            found.set(true);
        }
        column
    }

    /// Whether anything is read from a column under the name that its format gives it.
    pub fn is_found(&self, column: usize) -> bool {
        self.found.get(column).is_some_and(Cell::get)
    }
}

/// The first of `name#2`, `name#3` and so on that is no other column's.
pub(in crate::normalize) fn numbered(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut number = 2;
    loop {
        let own = format!("{name}#{number}");
        if !is_taken(&own) {
            return own;
        }
        number += 1;
    }
}

/// Only letters and digits count, in small letters: `lineItem/UsageAmount` and `line_item_usage_amount` are one.
/// Azure portals of other languages put the English name in brackets: `Ressourcengruppe (ResourceGroup)`.
fn key(name: &str) -> String {
    let english = name.strip_suffix(')').and_then(|name| name.rsplit_once('(')).map(|(_, english)| english);
    let letters = english.unwrap_or(name).chars().filter(|c| c.is_ascii_alphanumeric());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_column_share_their_key() {
        assert_eq!(key("lineItem/UsageAmount"), key("line_item_usage_amount"));
        assert_eq!(key("reservation/ReservationARN"), key("reservation_reservation_a_r_n"));
        assert_eq!(key("Ressourcengruppe (ResourceGroup)"), "resourcegroup");
        assert_eq!(key("usage.amount_in_pricing_units"), "usageamountinpricingunits");
    }

    #[test]
    fn columns_of_one_name_are_told_apart_and_the_first_is_found() {
        let columns = Columns::new(&["cost", "a", "cost ", "a#2", "a", "A", ""].map(str::to_owned));
        assert_eq!(columns.names, ["cost", "a", "cost#2", "a#2", "a#3", "A", "column_7"]);
        assert_eq!((columns.find(&["cost"]), columns.key(2)), (0, "cost"));
        assert_eq!([0, 1, 2, 7].map(|column| columns.is_found(column)), [true, false, false, false]);
        let repeated: Vec<_> =
            columns.repeated().iter().map(|one| (one.name.as_str(), one.first, one.column)).collect();
        assert_eq!(repeated, [("cost", 0, 2), ("a", 1, 4)]);
    }
}
