//! What becomes of more than a limit. Rows that are added up or counted on are never cut: they are read to the end, or
//! none of them are given. What people add is refused where it would be too much to read.

/// Why rows were not given, or an entry was not taken.
///
/// It travels in a [`sqlx::Error`], so that functions of this folder hand it on like any other; [`of`] finds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// More rows than are read at once.
    #[error(
        "There are more than {} {what}. Figures of a part of them would be wrong, so none are shown: narrow the days, \
         the service or the team.",
        grouped(.limit)
    )]
    TooMany {
        /// Rows that are read at most.
        limit: i64,
        /// What the rows are, in the plural.
        what: &'static str,
    },
    /// As many entries as are kept.
    #[error("There are {} {what} already, and more are not kept. Take some away first.", grouped(.limit))]
    Full {
        /// Entries that are kept at most.
        limit: i64,
        /// What the entries are, in the plural.
        what: &'static str,
    },
}

/// All rows, or [`LimitError::TooMany`]. The statement asks for one row more than `limit`, so that a list of just that
/// many is told from one that goes on.
pub fn within<T>(rows: Vec<T>, limit: i64, what: &'static str) -> sqlx::Result<Vec<T>> {
    count_within(rows.len(), limit, what).map(|()| rows)
}

/// The same of rows that are not kept as they come, by how many there were.
pub fn count_within(count: usize, limit: i64, what: &'static str) -> sqlx::Result<()> {
    if count as i64 > limit { Err(error(LimitError::TooMany { limit, what })) } else { Ok(()) }
}

/// Whether one more may be added to `count` entries; else [`LimitError::Full`].
pub fn room(count: i64, limit: i64, what: &'static str) -> sqlx::Result<()> {
    if count < limit { Ok(()) } else { Err(error(LimitError::Full { limit, what })) }
}

/// The limit that an error is about, if it is about one.
pub fn of(error: &sqlx::Error) -> Option<LimitError> {
    match error {
        sqlx::Error::Configuration(cause) => cause.downcast_ref::<LimitError>().copied(),
        _ => None,
    }
}

// Not as an error of decoding: what sends events takes that for a fault of the event.
fn error(limit: LimitError) -> sqlx::Error {
    sqlx::Error::Configuration(limit.into())
}

// 50,000 as people read it.
fn grouped(number: &i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_given_to_the_end_or_not_at_all() {
        assert_eq!(within(vec![1, 2, 3], 3, "things").unwrap(), [1, 2, 3]);
        let error = within(vec![1, 2, 3, 4], 3, "things").unwrap_err();
        let limit = of(&error).unwrap();
        assert_eq!(limit, LimitError::TooMany { limit: 3, what: "things" });
        assert_eq!(of(&sqlx::Error::RowNotFound), None);
        assert!(count_within(3, 3, "things").is_ok());
        assert_eq!(of(&count_within(4, 3, "things").unwrap_err()), Some(limit));
    }

    #[test]
    fn an_entry_is_taken_while_there_is_room() {
        assert!(room(2, 3, "things").is_ok());
        let error = room(3, 3, "things").unwrap_err();
        assert_eq!(of(&error), Some(LimitError::Full { limit: 3, what: "things" }));
    }

    #[test]
    fn the_sentence_says_how_many_and_what_to_do() {
        let too_many = LimitError::TooMany { limit: 200_000, what: "cells" }.to_string();
        assert_eq!(
            too_many,
            "There are more than 200,000 cells. Figures of a part of them would be wrong, so none are shown: narrow \
             the days, the service or the team."
        );
        let full = LimitError::Full { limit: 500, what: "tag rules" }.to_string();
        assert_eq!(full, "There are 500 tag rules already, and more are not kept. Take some away first.");
        let of = |number: i64| grouped(&number);
        assert_eq!([of(7), of(999), of(1_000), of(1_000_000)], ["7", "999", "1,000", "1,000,000"]);
    }
}
