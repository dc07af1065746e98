//! Secrets at rest: sealed with a key that is not in the database, so that a copy of it tells nothing.
//!
//! XChaCha20-Poly1305. The sealed bytes name their key; table, row and column are authenticated with them, so
//! that a sealed secret moved to another place does not open.

use super::private_file;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const FORMAT: u8 = 1;

/// The place of a secret: it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's number.
    pub row: i64,
    /// The column.
    pub column: &'a str,
}

/// Why a key or a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Someone else on the machine could have read the key.
    #[error("the key file {} can be read by others (mode {mode:o}): run chmod 600 on it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not 32 bytes.
    #[error("the key file {} holds {bytes} bytes, not {KEY_BYTES}: restore it from a backup", .path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file cannot be read or made.
    #[error("could not use the key file {}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// There is no such file, and what is asked for was sealed before.
    #[error("the key file {} is missing: put it back, a backup has it", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file, and a new key would not open what is kept.
    #[error(
        "the key file {file} is missing, and secrets in the database are sealed with key {sealed_with}: put it back, a \
         backup has it, or name it with COSTWAKE_KEY_FILE. Where it is lost for good, make another one ((umask 077; \
         head -c {KEY_BYTES} /dev/urandom > {file})) and enter every secret anew",
        file = .path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// The id of the key that is wanted.
        sealed_with: String,
    },
    /// The database did not answer.
    #[error("could not ask the database which key its secrets are sealed with")]
    Database(#[from] sqlx::Error),
    /// Sealed with another key than the one at hand.
    #[error(
        "this secret was sealed with key {sealed_with}, but the key file holds {at_hand}: put the right key file back, or enter the secret anew"
    )]
    OtherKey {
        /// The id in the sealed bytes.
        sealed_with: String,
        /// The id of the key file.
        at_hand: String,
    },
    /// Changed, cut, or moved to another row.
    #[error("this sealed secret was changed or belongs elsewhere: enter the secret anew")]
    Broken,
}

/// Which key it is, without telling anything of it.
pub type KeyId = [u8; KEY_ID_BYTES];

/// The key that secrets are sealed with.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; KEY_BYTES],
    id: KeyId,
}

// A key is never printed; its id says which it is.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", hex::encode(self.id))
    }
}

impl Key {
    /// The key of this file. Where there is none, a new one is made that only its owner can read: `store::sealed` knows
    /// whether that may be.
    pub fn load_or_create(path: &Path) -> Result<Self, SealError> {
        match Self::load(path) {
            Err(SealError::Missing { .. }) => {
                create(path).map_err(|error| SealError::Io { path: path.to_owned(), error })?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// The key of this file, which has to be there.
    pub fn load(path: &Path) -> Result<Self, SealError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => SealError::Missing { path: path.to_owned() },
            _ => SealError::Io { path: path.to_owned(), error },
        };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SealError::Open { path: path.to_owned(), mode });
        }
        let content = std::fs::read(path).map_err(failed)?;
        let bytes = content.len();
        let bytes = content.try_into().map_err(|_| SealError::NotAKey { path: path.to_owned(), bytes })?;
        Ok(Self::from_bytes(bytes))
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&Sha256::digest(bytes)[..KEY_ID_BYTES]);
        Self { bytes, id }
    }

    /// Which it is; what it seals names it.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a secret for one place.
    pub fn seal(&self, place: Place<'_>, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random();
        let aad = place.authenticated();
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &aad })
            .expect("encryption fails only for secrets of many gigabytes");
        [&[FORMAT], &self.id[..], &nonce[..], &sealed[..]].concat()
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (format, rest) = sealed.split_first().ok_or(SealError::Broken)?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(SealError::Broken)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Broken)?;
        if *format != FORMAT {
            return Err(SealError::Broken);
        }
        if *id != self.id {
            return Err(SealError::OtherKey { sealed_with: hex::encode(id), at_hand: hex::encode(self.id) });
        }
        let aad = place.authenticated();
        let payload = Payload { msg: sealed, aad: &aad };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Broken)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.bytes.into())
    }
}

impl Place<'_> {
    fn authenticated(&self) -> Vec<u8> {
        format!("{}\0{}\0{}", self.table, self.row, self.column).into_bytes()
    }
}

/// Bytes from the system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

// Two processes may start at once: each writes aside, and only where there is no key yet is it given the name.
fn create(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(private_file::folder_of(path))?;
    let aside = private_file::write_aside(path, &mut &random::<KEY_BYTES>()[..])?;
    match aside.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => Err(failed.error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "event_source", row: 7, column: "secret_current_sealed" };

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let key = Key::from_bytes([7; 32]);
        let sealed = key.seal(PLACE, b"hush");
        assert_eq!(key.open(PLACE, &sealed).unwrap(), b"hush");
        assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"));
        assert_ne!(sealed, key.seal(PLACE, b"hush"));
        for other in [
            Place { row: 8, ..PLACE },
            Place { column: "secret_previous_sealed", ..PLACE },
            Place { table: "x", ..PLACE },
        ] {
            assert!(matches!(key.open(other, &sealed), Err(SealError::Broken)));
        }
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(key.open(PLACE, &changed), Err(SealError::Broken)));
        assert!(matches!(key.open(PLACE, &sealed[..20]), Err(SealError::Broken)));
        assert!(matches!(key.open(PLACE, b""), Err(SealError::Broken)));
    }

    #[test]
    fn another_key_is_named() {
        let sealed = Key::from_bytes([7; 32]).seal(PLACE, b"hush");
        let message = Key::from_bytes([8; 32]).open(PLACE, &sealed).unwrap_err().to_string();
        assert!(message.contains("put the right key file back"), "{message}");
    }

    #[test]
    fn a_key_file_is_made_private_and_refused_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/key");
        assert!(matches!(Key::load(&path), Err(SealError::Missing { .. })));
        let key = Key::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::load_or_create(&path).unwrap().bytes, key.bytes);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let message = Key::load_or_create(&path).unwrap_err().to_string();
        assert!(message.contains("chmod 600"), "{message}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(Key::load_or_create(&path), Err(SealError::NotAKey { bytes: 5, .. })));
    }
}
