//! Of all versions of one subject, the newest whole one.

use super::{Head, Object};
use chrono::{DateTime, Utc};

/// What is known of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It became a delivery at an earlier look.
    Read,
    /// At an earlier look a newer one was there.
    Older,
    /// New, and whole.
    Whole {
        /// Its files.
        parts: Vec<Object>,
        /// Rows that the manifest promises.
        row_count: Option<i64>,
        /// Which of the two costs of an Azure bill they have, where the manifest says so.
        side: Option<&'static str>,
    },
    /// Not all of it is there.
    Partial(String),
}

/// A head of a subject, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The manifest or file.
    pub head: Head,
    /// What tells the export from others of the same place; empty for a file.
    pub export: String,
    /// The export's own id of the version; empty for a file.
    pub identity: String,
    /// Orders the versions of a subject.
    pub version_at: DateTime<Utc>,
    /// What is known of it.
    pub standing: Standing,
}

/// A delivery to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The manifest or file.
    pub head: Head,
    /// What tells the export from others of the same place; empty for a file.
    pub export: String,
    /// The export's own id of the version; empty for a file.
    pub identity: String,
    /// Orders it.
    pub version_at: DateTime<Utc>,
    /// Its files.
    pub parts: Vec<Object>,
    /// Rows that the manifest promises.
    pub row_count: Option<i64>,
    /// Which of the two costs of an Azure bill its files have, where the manifest says so.
    pub side: Option<&'static str>,
    /// Other heads that say the same: they are read with it.
    pub same: Vec<Head>,
}

/// What is to become of the heads of one subject and export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The one to read, where it is not read yet.
    pub chosen: Option<Chosen>,
    /// New ones that a newer one stands before.
    pub older: Vec<Candidate>,
    /// Those that are not whole and newer than any that is.
    pub partial: Vec<(Candidate, String)>,
}

/// Decides about the heads of one subject and export: two exports may write to one folder.
pub fn choose(mut candidates: Vec<Candidate>) -> Choice {
    // Of a manifest that lies in two folders, the upper one.
    candidates.sort_by(|a, b| {
        let depth = |candidate: &Candidate| candidate.head.object.key.matches('/').count();
        (b.version_at, depth(a), &b.head.object.key).cmp(&(a.version_at, depth(b), &a.head.object.key))
    });
    let mut choice = Choice::default();
    // The identity of what counts, once that is found.
    let mut counting: Option<String> = None;
    for candidate in candidates {
        let Candidate { head, export, identity, version_at, standing } = candidate.clone();
        let is_same = !identity.is_empty() && counting.as_deref() == Some(identity.as_str());
        match (standing, &mut choice.chosen) {
            (Standing::Read, None) if counting.is_none() => counting = Some(identity),
            (Standing::Read | Standing::Older, _) => {}
            (_, Some(chosen)) if is_same => chosen.same.push(head),
            (_, _) if counting.is_some() => choice.older.push(candidate),
            (Standing::Partial(missing), _) => choice.partial.push((candidate, missing)),
            (Standing::Whole { parts, row_count, side }, _) => {
                counting = Some(identity.clone());
                choice.chosen =
                    Some(Chosen { head, export, identity, version_at, parts, row_count, side, same: Vec::new() });
            }
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(key: &str, day: u32, identity: &str, standing: Standing) -> Candidate {
        let version_at = format!("2026-11-{day:02}T00:00:00Z").parse().unwrap();
        let object = Object { key: key.into(), bytes: 1, etag: "e".into(), modified: version_at };
        let head = Head { object, subject: "s".into(), version_at, shards: Vec::new() };
        Candidate { head, export: String::new(), identity: identity.into(), version_at, standing }
    }

    fn whole() -> Standing {
        Standing::Whole { parts: Vec::new(), row_count: None, side: None }
    }

    fn chosen(choice: &Choice) -> Option<&str> {
        choice.chosen.as_ref().map(|chosen| chosen.head.object.key.as_str())
    }

    #[test]
    fn the_newest_whole_one_is_read() {
        let partial = Standing::Partial("gone".into());
        let choice = choose(vec![
            candidate("a", 1, "1", whole()),
            candidate("c", 3, "3", partial.clone()),
            candidate("b", 2, "2", whole()),
        ]);
        assert_eq!(chosen(&choice), Some("b"));
        assert_eq!((choice.older.len(), choice.partial.len()), (1, 1));
        let choice = choose(vec![candidate("a", 1, "1", Standing::Read), candidate("b", 2, "2", partial.clone())]);
        assert_eq!((chosen(&choice), choice.partial.len()), (None, 1));
        let choice = choose(vec![candidate("b", 2, "2", Standing::Read), candidate("a", 1, "1", whole())]);
        assert_eq!((chosen(&choice), choice.older.len()), (None, 1), "an older one that comes late is not read");
        let choice = choose(vec![candidate("a", 1, "1", partial), candidate("b", 2, "2", Standing::Read)]);
        assert_eq!((chosen(&choice), choice.older.len(), choice.partial.len()), (None, 1, 0));
    }

    #[test]
    fn a_manifest_in_two_folders_is_one_delivery() {
        let choice = choose(vec![candidate("p/1/m", 2, "1", whole()), candidate("p/m", 2, "1", whole())]);
        assert_eq!(chosen(&choice), Some("p/m"));
        assert_eq!(choice.chosen.unwrap().same.len(), 1);
        assert!(choice.older.is_empty());
    }
}
