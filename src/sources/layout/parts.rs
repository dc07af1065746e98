//! The files that a manifest names, looked for among what lies there.

use super::{Head, Manifest, ManifestError, Object, PARTS_MAX};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{HashMap, HashSet};

/// Missing files that a sentence names.
const NAMED_MAX: usize = 5;
/// How long a file that is newer than its manifest is taken for one that is being rewritten. After it, the tree was
/// copied in another order.
const SETTLE_MINUTES: i64 = 30;

/// A file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, as the manifest has it.
    pub key: String,
    /// Its size, where the manifest says it.
    pub bytes: Option<u64>,
}

/// What no manifest can mean.
pub(super) fn check(parts: &[Part]) -> Result<(), ManifestError> {
    if parts.len() > PARTS_MAX {
        return Err(ManifestError(format!("It names more than {PARTS_MAX} files.")));
    }
    let mut names = HashSet::new();
    if let Some(twice) = parts.iter().find(|part| !names.insert(part.key.as_str())) {
        return Err(ManifestError(format!("It names {} twice, and would count it twice.", twice.key)));
    }
    Ok(())
}

/// The objects of a delivery, or what is not there, in a sentence.
pub fn resolve(
    head: &Head,
    manifest: &Manifest,
    objects: &HashMap<&str, &Object>,
    now: DateTime<Utc>,
) -> Result<Vec<Object>, String> {
    if manifest.parts.is_empty() {
        return Err("The manifest names no files yet.".into());
    }
    let mut found: Vec<Object> = Vec::with_capacity(manifest.parts.len());
    let mut wrong = Vec::new();
    for part in &manifest.parts {
        match find(&part.key, &head.object.key, objects) {
            None => wrong.push(part.key.clone()),
            Some(object) => match part.bytes.filter(|bytes| *bytes != object.bytes) {
                Some(bytes) => wrong.push(format!("{} ({} of {bytes} bytes)", part.key, object.bytes)),
                None => found.push(object.clone()),
            },
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = wrong.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        return Err(format!("{} of {} files are missing: {named}{more}.", wrong.len(), manifest.parts.len()));
    }
    let mut keys = HashSet::new();
    if !found.iter().all(|object| keys.insert(object.key.as_str())) {
        return Err("Two names of the manifest are the same file there.".into());
    }
    let newest = found.iter().map(|object| object.modified).max().unwrap_or_default();
    if newest > head.object.modified && now - newest < TimeDelta::minutes(SETTLE_MINUTES) {
        return Err("Its files are newer than the manifest: they are being rewritten.".into());
    }
    Ok(found)
}

// The name as it stands; or, where the tree was copied elsewhere, its last folders; or the file beside the manifest.
fn find<'a>(name: &str, manifest: &str, objects: &HashMap<&str, &'a Object>) -> Option<&'a Object> {
    if let Some(object) = objects.get(name) {
        return Some(object);
    }
    let mut rest = name;
    while let Some((_, below)) = rest.split_once('/') {
        if below.contains('/')
            && let Some(object) = objects.get(below)
        {
            return Some(object);
        }
        rest = below;
    }
    let folder = manifest.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") };
    objects.get(beside.as_str()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn object(key: &str, modified: &str) -> Object {
        Object { key: key.into(), bytes: 10, etag: "e".into(), modified: at(modified) }
    }

    fn resolved(objects: &[Object], parts: &[(&str, Option<u64>)]) -> Result<Vec<String>, String> {
        let manifest = object("x/run/manifest.json", "2026-11-01T06:00:00Z");
        let head = Head { subject: "x".into(), version_at: manifest.modified, object: manifest, shards: Vec::new() };
        let parts = parts.iter().map(|(key, bytes)| Part { key: (*key).into(), bytes: *bytes }).collect();
        let manifest =
            Manifest { identity: "i".into(), export: None, side: None, version_at: None, parts, row_count: None };
        let index = objects.iter().map(|object| (object.key.as_str(), object)).collect();
        let found = resolve(&head, &manifest, &index, at("2026-11-01T06:10:00Z"))?;
        Ok(found.into_iter().map(|object| object.key).collect())
    }

    #[test]
    fn parts_are_found_where_the_tree_was_copied_to() {
        let objects = [object("x/run/a.csv", "2026-11-01T05:00:00Z"), object("d/P=1/b.csv", "2026-11-01T05:00:00Z")];
        assert_eq!(resolved(&objects, &[("x/run/a.csv", Some(10))]).unwrap(), ["x/run/a.csv"]);
        assert_eq!(resolved(&objects, &[("root/x/run/a.csv", None)]).unwrap(), ["x/run/a.csv"]);
        assert_eq!(resolved(&objects, &[("elsewhere/a.csv", None)]).unwrap(), ["x/run/a.csv"]);
        assert_eq!(resolved(&objects, &[("p/d/P=1/b.csv", None)]).unwrap(), ["d/P=1/b.csv"]);
    }

    #[test]
    fn what_is_missing_short_or_being_rewritten_is_no_delivery() {
        let old = [object("x/run/a.csv", "2026-11-01T05:00:00Z")];
        let error = resolved(&old, &[("x/run/a.csv", Some(11)), ("x/run/b.csv", None)]).unwrap_err();
        assert_eq!(error, "2 of 2 files are missing: x/run/a.csv (10 of 11 bytes), x/run/b.csv.");
        assert!(resolved(&old, &[]).unwrap_err().contains("no files"));
        assert!(resolved(&old, &[("x/run/a.csv", None), ("y/x/run/a.csv", None)]).unwrap_err().contains("same file"));
        let new = [object("x/run/a.csv", "2026-11-01T06:05:00Z")];
        assert!(resolved(&new, &[("x/run/a.csv", None)]).unwrap_err().contains("being rewritten"));
    }
}
