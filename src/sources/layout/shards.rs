//! Files that one extraction writes side by side, as BigQuery does: `name-000000000000.json.gz` and so on. They are one
//! delivery: by themselves the last one would take the place of all others.

use super::files::ENDINGS;
use super::{Head, Object};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Digits of a shard's number.
const DIGITS: usize = 12;
/// Greater numbers are times, as in `bill-202611010115.csv`.
const NUMBER_MAX: u64 = 999_999;
/// How long nothing may have been written before all of it is taken to be there.
const SETTLE_MINUTES: i64 = 1;
/// Shards that were written further apart are of two extractions: the later one had fewer.
const APART_MINUTES: i64 = 60;

/// A head for each file, but one for all shards of a set.
pub(super) fn joined(heads: Vec<Head>) -> Vec<Head> {
    let (mut sets, mut others): (BTreeMap<String, Vec<Object>>, Vec<Head>) = (BTreeMap::new(), Vec::new());
    for head in heads {
        match set_of(&head.object.key) {
            Some((name, _)) => sets.entry(name).or_default().push(head.object),
            None => others.push(head),
        }
    }
    others.extend(sets.into_iter().filter_map(|(name, shards)| head(name, shards)));
    others
}

/// Why a set is not whole, in a sentence.
pub(super) fn fault(shards: &[Object], now: DateTime<Utc>) -> Option<String> {
    let first = shards.iter().map(|shard| shard.modified).min()?;
    let last = shards.iter().map(|shard| shard.modified).max()?;
    let numbers: Vec<Option<u64>> = shards.iter().map(|shard| set_of(&shard.key).map(|(_, number)| number)).collect();
    if let Some(lacks) = (0..shards.len()).find(|place| numbers[*place] != Some(*place as u64)) {
        return Some(format!("Shard {lacks:012} is missing, and {} others are there.", shards.len()));
    }
    if last - first > TimeDelta::minutes(APART_MINUTES) {
        return Some(
            "Its shards were written more than an hour apart: some are left from an earlier extraction. Delete those, or \
             extract into a folder of its own."
                .into(),
        );
    }
    (last + TimeDelta::minutes(SETTLE_MINUTES) > now)
        .then(|| "Its shards were written less than a minute ago: it is read once nothing more comes.".into())
}

// `a/name-000000000012.csv` is number 12 of `a/name-*.csv`.
fn set_of(key: &str) -> Option<(String, u64)> {
    let lower = key.to_ascii_lowercase();
    let ending = ENDINGS.iter().filter(|ending| lower.ends_with(*ending)).max_by_key(|ending| ending.len())?;
    let (name, ending) = key.split_at_checked(key.len() - ending.len())?;
    let (stem, digits) = name.split_at_checked(name.len().checked_sub(DIGITS)?)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !stem.ends_with(|c: char| c.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|number| is_number && *number <= NUMBER_MAX)?;
    Some((format!("{stem}*{ending}"), number))
}

// Its mark changes with the mark of any shard.
fn head(name: String, mut shards: Vec<Object>) -> Option<Head> {
    shards.sort_by(|a, b| a.key.cmp(&b.key));
    let modified = shards.iter().map(|shard| shard.modified).max()?;
    let mut marks = Sha256::new();
    for shard in &shards {
        marks.update(format!("{}\n{}\n{}\n", shard.key, shard.etag, shard.bytes));
    }
    let etag = hex::encode(marks.finalize());
    let bytes = shards.iter().map(|shard| shard.bytes).fold(0, u64::saturating_add);
    let object = Object { key: name.clone(), bytes, etag, modified };
    Some(Head { object, subject: name, version_at: modified, shards })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::kind::Layout;

    fn object(key: &str, minute: u32, etag: &str) -> Object {
        let modified = format!("2026-11-01T06:{minute:02}:00Z").parse().unwrap();
        Object { key: key.into(), bytes: 2, etag: etag.into(), modified }
    }

    fn shard(number: u32, minute: u32) -> Object {
        object(&format!("b/x-{number:012}.json.gz"), minute, "e")
    }

    #[test]
    fn shards_of_a_set_have_one_head() {
        let mut objects = vec![shard(1, 2), object("b/y.csv", 0, "e"), shard(0, 1), object("b/x-12.json.gz", 0, "e")];
        let heads = Layout::Files.heads(&objects);
        let subjects: Vec<&str> = heads.iter().map(|head| head.subject.as_str()).collect();
        assert_eq!(subjects, ["b/y.csv", "b/x-12.json.gz", "b/x-*.json.gz"]);
        assert_eq!((heads[2].shards.len(), heads[2].object.bytes), (2, 4));
        assert!(heads[2].shards[0].key.ends_with("0000.json.gz") && heads[2].version_at == objects[0].modified);
        objects[0].etag = "other".into();
        assert_ne!(Layout::Files.heads(&objects)[2].object.etag, heads[2].object.etag, "any shard changes the mark");
        assert_eq!(set_of("x000000000007.csv"), Some(("x*.csv".into(), 7)));
        assert_eq!(set_of("x-0000000000000.csv"), None, "thirteen digits");
        assert_eq!(set_of("bill-202611010115.csv"), None, "a time");
        assert_eq!(set_of("é00000000000.csv"), None);
    }

    /// What is extracted in parallel leaves shards empty: they are there, and the set is whole with them.
    #[test]
    fn an_empty_shard_is_one_of_its_set() {
        let mut objects = vec![shard(0, 1), shard(1, 1), shard(2, 1), object("b/y.csv", 0, "e")];
        (objects[1].bytes, objects[3].bytes) = (0, 0);
        let heads = Layout::Files.heads(&objects);
        assert_eq!(heads.len(), 1, "an empty file by itself is none yet");
        assert_eq!((heads[0].shards.len(), heads[0].object.bytes), (3, 4));
        assert_eq!(heads[0].shards_fault("2026-11-01T07:00:00Z".parse().unwrap()), None);
        objects.iter_mut().for_each(|object| object.bytes = 0);
        assert!(Layout::Files.heads(&objects).is_empty());
    }

    #[test]
    fn a_set_is_whole_once_it_is_complete_and_settled() {
        let fault_at = |shards: &[Object], now: &str| fault(shards, now.parse().unwrap());
        assert_eq!(fault_at(&[shard(0, 1), shard(1, 2)], "2026-11-01T06:03:00Z"), None);
        assert!(fault_at(&[shard(0, 1), shard(1, 2)], "2026-11-01T06:02:59Z").unwrap().contains("a minute ago"));
        let lacks = fault_at(&[shard(0, 1), shard(2, 1)], "2026-11-01T07:00:00Z").unwrap();
        assert!(lacks.starts_with("Shard 000000000001 is missing"), "{lacks}");
        let mut old = shard(1, 1);
        old.modified -= TimeDelta::hours(24);
        assert!(fault_at(&[shard(0, 1), old], "2026-11-01T07:00:00Z").unwrap().contains("an hour apart"));
        assert_eq!(fault_at(&[], "2026-11-01T07:00:00Z"), None);
    }
}
