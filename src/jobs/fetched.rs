//! The files of one delivery, fetched beside each other into a folder that goes with this value.

use crate::config::Config;
use crate::sources::held::Held;
use crate::sources::layout::Chosen;
use crate::sources::objects::{Opened, PlaceError};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Files on disk. Dropping it deletes them.
pub(super) struct Fetched {
    folder: PathBuf,
    pub paths: Vec<PathBuf>,
    _held: Held,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // What stays, the sweep finds.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Fetched {
    /// Fetches all files of a delivery. All of them, and the manifest, were there at one time: the marks of the listing
    /// still hold when the last byte is here.
    pub async fn all(config: &Config, opened: &Opened, chosen: &Chosen) -> Result<Self, PlaceError> {
        let unique = Uuid::from_bytes(crate::store::seal::random::<16>()).simple().to_string();
        let folder = config.data_dir().join("spool").join(format!("read-{unique}"));
        let made = folder.clone();
        let held = tokio::task::spawn_blocking(move || Held::create_folder(&made)).await;
        let held = held.unwrap_or_else(|error| Err(error.into())).map_err(|error| {
            PlaceError::passing(
                format!("The data directory cannot be written to: {error}."),
                "Check that the server may write there; the read is tried again.",
            )
        })?;
        let mut fetched = Self { folder, paths: Vec::new(), _held: held };
        for (number, part) in chosen.parts.iter().enumerate() {
            let path = fetched.folder.join(file_name(number, &part.key, chosen.side));
            opened.fetch(part, &path).await?;
            fetched.paths.push(path);
        }
        let is_single = matches!(chosen.parts.as_slice(), [one] if *one == chosen.head.object);
        if !is_single {
            // A set of shards has no object of its own.
            if chosen.head.shards.is_empty() {
                opened.are_unchanged(std::slice::from_ref(&chosen.head.object)).await?;
            }
            opened.are_unchanged(&chosen.parts).await?;
        }
        Ok(fetched)
    }
}

// Receipts name the part in which a line lies; what a store calls it is no path here. Which cost a file has, stands
// often in the name of its folder only.
fn file_name(number: usize, key: &str, side: Option<&str>) -> String {
    let name: String = Path::new(key)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .chars()
        .filter(|c| !c.is_control() && *c != '/')
        .take(80)
        .collect();
    match side.or_else(|| side_by_folder(key)) {
        Some(side) => format!("{number:05}-{side}-{name}"),
        None => format!("{number:05}-{name}"),
    }
}

fn side_by_folder(key: &str) -> Option<&'static str> {
    let (folders, _) = key.rsplit_once('/')?;
    folders.to_lowercase().rsplit('/').find_map(|folder| {
        match (folder.contains("actual"), folder.contains("amortized") || folder.contains("amortised")) {
            (true, false) => Some("actual"),
            (false, true) => Some("amortized"),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_chooses_a_path() {
        assert_eq!(file_name(3, "a/b/part_1.csv.gz", None), "00003-part_1.csv.gz");
        assert_eq!(file_name(0, "a/..", None), "00000-");
    }

    #[test]
    fn the_name_says_which_cost_a_file_has() {
        let named = |key: &str| file_name(0, key, None);
        assert_eq!(named("e/Actual-Cost/20261001-20261031/r/p.csv"), "00000-actual-p.csv");
        assert_eq!(named("actual-and-amortized/amortised/r/p.csv"), "00000-amortized-p.csv");
        assert_eq!(named("actual-and-amortized/r/p.csv"), "00000-p.csv");
        assert_eq!(named("amortized.csv"), "00000-amortized.csv");
        assert_eq!(file_name(0, "actual/p.csv", Some("amortized")), "00000-amortized-p.csv");
    }
}
