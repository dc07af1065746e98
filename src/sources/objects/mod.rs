//! The place of a source opened: what lies there, and its bytes, each object the one that was listed.

mod answer;
mod directory;
mod error;
mod guard;
mod listing;
mod store;

pub use answer::{AnswerError, ask};
pub use error::PlaceError;
pub use guard::{Guard, Refused, is_public};
pub use listing::{Answer, Budget, Listing};

use super::kind::Kind;
use super::layout::Object;
use super::place::{Credentials, Place};
use directory::Directory;
use std::path::{Path, PathBuf};
use store::Store;

/// Objects that a source may hold; more of them want a narrower prefix.
pub const OBJECTS_MAX: usize = 100_000;
/// The largest manifest; those of AWS and Azure are a few kilobytes.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// What places may be reached from this server.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Which private networks.
    pub guard: Guard,
    /// Which folders.
    pub folders: Vec<PathBuf>,
}

/// An opened place.
#[derive(Debug)]
pub enum Opened {
    /// A folder of the server.
    Directory(Directory),
    /// An object store.
    Store(Store),
}

impl Opened {
    /// Opens a place. Nothing is asked of it yet.
    pub async fn new(kind: Kind, place: &Place, credentials: &Credentials, reach: &Reach) -> Result<Self, PlaceError> {
        match kind {
            Kind::Upload | Kind::Push => Err(PlaceError::lasting(
                "Files of this source are handed in; there is no place to read.",
                "Upload a file or push it.",
            )),
            Kind::Directory => Directory::open(&place.prefix, &reach.folders).map(Self::Directory),
            _ => Store::open(kind, place, credentials, &reach.guard).await.map(Self::Store),
        }
    }

    /// Everything that lies there, in no certain order.
    pub async fn list(&self) -> Result<Vec<Object>, PlaceError> {
        match self {
            Self::Directory(directory) => directory.list().await,
            Self::Store(store) => store.list(OBJECTS_MAX).await,
        }
    }

    /// Whether it can be listed at all: asks for the first objects only.
    pub async fn probe(&self) -> Result<usize, PlaceError> {
        match self {
            Self::Directory(directory) => directory.list().await.map(|objects| objects.len()),
            Self::Store(store) => store.probe().await,
        }
    }

    /// The bytes of a manifest.
    pub async fn manifest(&self, object: &Object) -> Result<Vec<u8>, PlaceError> {
        if object.bytes > MANIFEST_BYTES_MAX {
            let mebibytes = MANIFEST_BYTES_MAX >> 20;
            return Err(PlaceError::lasting(
                format!("{} is larger than {mebibytes} MiB, as no manifest is.", object.key),
                "Check the layout of the source.",
            ));
        }
        match self {
            Self::Directory(directory) => directory.read(object).await,
            Self::Store(store) => store.read(object).await,
        }
    }

    /// Writes the object to a file. It is the very one that was listed, whole, or this is an error.
    pub async fn fetch(&self, object: &Object, to: &Path) -> Result<(), PlaceError> {
        match self {
            Self::Directory(directory) => directory.fetch(object, to).await,
            Self::Store(store) => store.fetch(object, to).await,
        }
    }

    /// Whether the objects are still those that were listed. Asked at the end of a delivery of several parts: then all
    /// of them were there at one time.
    pub async fn are_unchanged(&self, objects: &[Object]) -> Result<(), PlaceError> {
        for object in objects {
            let now = match self {
                Self::Directory(directory) => directory.head(object).await?,
                Self::Store(store) => store.head(object).await?,
            };
            if now != object.etag {
                return Err(PlaceError::changed(&object.key));
            }
        }
        Ok(())
    }
}
