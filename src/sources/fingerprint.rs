use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What tells two deliveries of the same bytes: the file as it was delivered, still compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size of the file.
    pub file_bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Fingerprint {
    /// Reads the whole file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut file_bytes = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Self { file_bytes, sha256: hex::encode(hash.finalize()) });
            }
            hash.update(&buffer[..count]);
            file_bytes += count as u64;
        }
    }
}
