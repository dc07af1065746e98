//! The column names of a native file, found whatever their spelling.

/// The position of a column that the file lacks; its cells are empty.
pub(in crate::normalize) const ABSENT: usize = usize::MAX;

/// The columns of a file under names that its variants share.
pub(in crate::normalize) struct Columns {
    pub names: Vec<String>,
    keys: Vec<String>,
}

impl Columns {
    pub fn new(names: &[String]) -> Self {
        let names: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(index, name)| match name.trim() {
                "" => format!("column_{}", index + 1),
                name => name.to_owned(),
            })
            .collect();
        Self { keys: names.iter().map(|name| key(name)).collect(), names }
    }

    /// The key of a column, such as `lineitemusageamount`.
    pub fn key(&self, column: usize) -> &str {
        self.keys.get(column).map_or("", String::as_str)
    }

    /// The first column that has one of these keys, the first key before the others.
    pub fn find(&self, keys: &[&str]) -> usize {
        keys.iter().find_map(|wanted| self.keys.iter().position(|key| key == wanted)).unwrap_or(ABSENT)
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
}
