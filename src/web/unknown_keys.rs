//! The keys of an address that its page does not know are ignored, and named in a note on the page.

use super::ignored_keys::{named, sentence};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor, value};

tokio::task_local! {
    static QUERY: String;
}

/// Makes a page; those that ask meanwhile which keys of this query they do not know are told.
pub(super) async fn with_query<F: Future>(query: Option<&str>, making: F) -> F::Output {
    QUERY.scope(query.unwrap_or_default().to_owned(), making).await
}

/// The note of a page that reads its address into a `T`: the fields of `T` are the keys that it knows.
pub(super) fn of<T: DeserializeOwned>() -> String {
    note(fields_of::<T>())
}

/// The note of a page that takes these keys.
pub(super) fn note(known: &[&str]) -> String {
    QUERY.try_with(|query| note_on(query, known)).unwrap_or_default()
}

fn note_on(query: &str, known: &[&str]) -> String {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let ignored = pairs.iter().filter(|(key, _)| !known.contains(&key.as_str())).map(|(key, _)| named(key));
    sentence(&ignored.collect::<Vec<_>>(), known)
}

/// Asks a type for its fields, and gives it nothing to read: a list of them beside it could differ from it.
struct Fields(&'static [&'static str]);

fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields = Fields(&[]);
    // It always fails: what it asked for is all that is wanted.
    let _ = T::deserialize(&mut fields);
    fields.0
}

impl<'de> Deserializer<'de> for &mut Fields {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields;
        Err(value::Error::custom("there is nothing to read"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(value::Error::custom("there is nothing to read"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    #[allow(dead_code, reason = "only its fields are asked for")]
    struct Asked {
        before: Option<i64>,
        #[serde(rename = "done")]
        message: String,
    }

    #[test]
    fn the_fields_of_a_type_are_the_keys_that_are_known() {
        assert_eq!(fields_of::<Asked>(), ["before", "done"]);
        assert!(fields_of::<Vec<(String, String)>>().is_empty());
    }

    #[test]
    fn other_keys_are_named() {
        let known = fields_of::<Asked>();
        assert_eq!(note_on("before=3&done=saved", known), "");
        assert_eq!(note_on("tier=1&before=3&%C3%BC=", known), "Ignored: tier, ü. This page knows before, done.");
        let many = note_on("a&b&c&d&e&f&g", &[]);
        assert_eq!(many, "Ignored: a, b, c, d, e and 2 more. This page knows no keys.");
        assert_eq!(note_on("tier", &[]), "Ignored: tier. This page knows no keys.");
        assert_eq!(note(known), "", "where no page is made, nothing was asked for");
    }
}
