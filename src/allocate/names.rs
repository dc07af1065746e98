use super::slug::slug;
use std::collections::HashMap;

/// The names that the entries of a catalogue answer to, in any case of letters.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<String, i64>);

impl Names {
    /// No names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name; an earlier one stays, so add slugs first, then names, then aliases, each by id.
    pub fn insert(&mut self, name: &str, id: i64) {
        self.0.entry(name.trim().to_lowercase()).or_insert(id);
    }

    /// The entry of that name, slug or alias. `Checkout API` also finds the one whose slug is `checkout-api`.
    pub fn find(&self, name: &str) -> Option<i64> {
        let lower = name.trim().to_lowercase();
        self.0.get(&lower).or_else(|| self.0.get(&slug(&lower))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn letters_spaces_and_earlier_names() {
        let mut names = Names::new();
        names.insert("checkout-api", 1);
        names.insert("Kasse Süd", 1);
        names.insert("CHECKOUT-API", 2);
        assert_eq!(names.find("Checkout API"), Some(1));
        assert_eq!(names.find(" kasse SÜD "), Some(1));
        assert_eq!(names.find("checkout"), None);
        assert_eq!(names.find(""), None);
    }
}
