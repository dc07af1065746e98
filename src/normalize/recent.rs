use std::hash::BuildHasher;

/// Longer texts are not remembered.
const TEXT_BYTES_MAX: usize = 1024;

/// Some of the last texts of a column and what was made of each, for columns whose lines repeat a few texts in no
/// order. A text has one place only, which another one may take: what is remembered is bounded, and a look is as
/// cheap as one can be.
pub(super) struct Recent<T> {
    entries: Vec<Entry<T>>,
    /// Where the text stands that was asked for last: often it is the next one too.
    last: usize,
}

#[derive(Default)]
struct Entry<T> {
    /// Empty where nothing is remembered.
    text: String,
    made: T,
}

impl<T: Default> Recent<T> {
    /// Remembers up to as many texts as this power of two.
    pub fn new(count: usize) -> Self {
        Self { entries: std::iter::repeat_with(Entry::default).take(count.next_power_of_two()).collect(), last: 0 }
    }

    /// What was made of a text before, or is made now; `None` where `make` says that nothing can be.
    #[inline]
    pub fn of(&mut self, text: &str, make: impl FnOnce(&mut T) -> bool) -> Option<&T> {
        let is_last = !text.is_empty() && self.entries[self.last].text == text;
        if !is_last {
            self.last = rustc_hash::FxBuildHasher.hash_one(text) as usize & (self.entries.len() - 1);
        }
        let entry = &mut self.entries[self.last];
        if text.is_empty() || entry.text != text {
            entry.text.clear();
            if !make(&mut entry.made) {
                return None;
            }
            if text.len() <= TEXT_BYTES_MAX {
                entry.text.push_str(text);
            }
        }
        Some(&entry.made)
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn what_is_remembered_is_what_was_made_of_that_text() {
        let mut recent: Recent<String> = Recent::new(4);
        let long = "x".repeat(2000);
        for round in 0..3 {
            for text in ["a", "b", "c", "d", "e", "f", "", long.as_str()] {
                let made = recent.of(text, |made| {
                    *made = format!("{text}!");
                    text != "c"
                });
                let expected = format!("{text}!");
                assert_eq!(made, (text != "c").then_some(&expected), "{round}");
            }
        }
        let mut count = 0;
        for _ in 0..3 {
            recent.of("a", |_| {
                count += 1;
                true
            });
        }
        assert!(count <= 1, "made again: {count}");
        assert_eq!(recent.of("g", |_| false), None, "the last text is another one");
        assert_eq!(recent.of("g", |_| false), None, "of what nothing could be made nothing is remembered");
    }
}
