//! The hash that names what a delivery brought.

use super::import::ImportError;
use crate::background;
use crate::normalize::BillError;
use crate::sources::Fingerprint;
use anyhow::Context;
use std::path::PathBuf;
use tokio::task::JoinHandle;

/// The hash of the bytes, which is made beside the load.
pub(super) enum Sha256Hex {
    Running(JoinHandle<Result<String, ImportError>>),
    Done(String),
}

impl Sha256Hex {
    /// Begins to hash these files.
    pub fn of(paths: &[PathBuf]) -> Self {
        let paths = paths.to_vec();
        Self::Running(background::spawn(move || hashed(&paths)))
    }

    /// Waits for it.
    pub async fn get(&mut self) -> Result<String, ImportError> {
        if let Self::Running(handle) = self {
            *self = Self::Done(handle.await.context("hashing the file")??);
        }
        let Self::Done(sha256) = self else { unreachable!("it was just done") };
        Ok(sha256.clone())
    }
}

fn hashed(paths: &[PathBuf]) -> Result<String, ImportError> {
    let mut sha256 = Vec::new();
    for path in paths {
        sha256.push(Fingerprint::of(path).map_err(BillError::Io)?.sha256);
    }
    // Parts are one delivery, so their hashes are hashed; a single file keeps its own.
    match sha256.as_slice() {
        [one] => Ok(one.clone()),
        several => {
            use sha2::{Digest, Sha256};
            Ok(hex::encode(Sha256::digest(several.join("\n"))))
        }
    }
}
