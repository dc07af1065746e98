use super::bounded::{Bounded, Limits};
use super::error::SourceError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// 128 MiB, what `zstd --ultra -22` needs; a frame that asks for more is refused.
pub(super) const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Bytes that are looked at to tell what a file is.
const HEAD_BYTES: usize = 8;

/// How much of the delivered file was read, for a progress bar in another thread.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes of the file as delivered.
    pub fn bytes_read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Says how far a reader is that does not read through this one.
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// A file of this machine, unpacked while it is read.
pub struct SourceFile {
    /// The first bytes of the unpacked content, fewer where it is shorter.
    pub head: Vec<u8>,
    /// Whether the file is gzip or zstd.
    pub is_compressed: bool,
    /// Size of the file as delivered.
    pub file_bytes: u64,
    /// How far it was read.
    pub progress: Progress,
    /// The whole unpacked content, the head included.
    pub content: Box<dyn Read + Send>,
}

impl SourceFile {
    /// Opens a plain, `.gz` or `.zst` file; its first bytes decide, not its name.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        Self::open_within(path, Limits::default())
    }

    /// The same with other limits.
    pub fn open_within(path: &Path, limits: Limits) -> Result<Self, SourceError> {
        // Looked at first: opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(SourceError::Io)?;
        if !metadata.is_file() {
            return Err(SourceError::Malformed("it is not a file".into()));
        }
        let mut file = File::open(path).map_err(SourceError::Io)?;
        let progress = Progress::default();
        let head = read_head(&mut file)?;
        let packed = Counted { input: Cursor::new(head.clone()).chain(file), progress: progress.clone() };
        let unpacked: Box<dyn Read + Send> = match Packing::of(&head) {
            Packing::None => {
                let content = Box::new(packed);
                return Ok(Self { head, is_compressed: false, file_bytes: metadata.len(), progress, content });
            }
            Packing::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(128 * 1024, packed))),
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
            Packing::Other(name) => {
                return Err(SourceError::Malformed(format!("it is {name}; unpack it first")));
            }
        };
        let mut bounded = Bounded { input: unpacked, limits, progress: progress.clone(), unpacked_bytes: 0 };
        let head = read_head(&mut bounded)?;
        if !matches!(Packing::of(&head), Packing::None) {
            return Err(SourceError::OutOfBounds("it is packed twice; unpack it once".into()));
        }
        let content = Box::new(Cursor::new(head.clone()).chain(bounded));
        Ok(Self { head, is_compressed: true, file_bytes: metadata.len(), progress, content })
    }
}

enum Packing {
    None,
    Gzip,
    Zstd,
    Other(&'static str),
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::Other("a zip archive"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Other("packed by bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Other("packed by xz"),
            _ => Self::None,
        }
    }
}

struct Counted<R> {
    input: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.progress.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use std::path::PathBuf;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn file(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join("bill.csv");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read(path: &Path, limits: Limits) -> Result<Vec<u8>, SourceError> {
        let mut content = Vec::new();
        SourceFile::open_within(path, limits)?.content.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn the_first_bytes_decide_and_all_members_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut two_members = gzip(b"a,b\n");
        two_members.extend(gzip(b"1,2\n"));
        let mut two_frames = zstd::encode_all(&b"a,b\n"[..], 3).unwrap();
        two_frames.extend(zstd::encode_all(&b"1,2\n"[..], 3).unwrap());
        for bytes in [b"a,b\n1,2\n".to_vec(), two_members, two_frames] {
            let path = file(&folder, &bytes);
            assert_eq!(read(&path, Limits::default()).unwrap(), b"a,b\n1,2\n");
            let mut source = SourceFile::open(&path).unwrap();
            io::copy(&mut source.content, &mut io::sink()).unwrap();
            assert_eq!(source.progress.bytes_read(), source.file_bytes);
        }
    }

    /// I01: a bomb is refused at the limit, long before it is unpacked.
    #[test]
    fn a_gzip_bomb_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &gzip(&vec![0; 40 * 1024 * 1024]));
        let error = read(&path, Limits::default()).map(|content| content.len()).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to more than 200 times its size, as no bill does");
        let small = Limits { unpacked_bytes_max: 1_000_000_000, ratio_max: u64::MAX, ..Limits::default() };
        assert_eq!(read(&path, small).unwrap().len(), 40 * 1024 * 1024);
        let smaller = Limits { unpacked_bytes_max: 1000, ..small };
        assert!(matches!(read(&path, smaller), Err(SourceError::OutOfBounds(_))));
    }

    #[test]
    fn what_is_packed_twice_or_otherwise_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let twice = file(&folder, &gzip(&gzip(b"a,b\n")));
        assert!(matches!(read(&twice, Limits::default()), Err(SourceError::OutOfBounds(_))));
        let zip = file(&folder, b"PK\x03\x04rest");
        assert_eq!(read(&zip, Limits::default()).unwrap_err().to_string(), "it is a zip archive; unpack it first");
    }

    #[test]
    fn a_truncated_file_is_an_error_and_not_a_shorter_bill() {
        let folder = tempfile::tempdir().unwrap();
        let whole = gzip(b"a,b\n1,2\n");
        let path = file(&folder, &whole[..whole.len() - 6]);
        assert!(matches!(read(&path, Limits::default()), Err(SourceError::Malformed(_))));
        let whole = zstd::encode_all(&vec![7; 300_000][..], 3).unwrap();
        let path = file(&folder, &whole[..whole.len() - 6]);
        assert!(matches!(read(&path, Limits::default()), Err(SourceError::Malformed(_))));
    }

    /// A frame that wants a 2 GiB window is refused before the memory is taken.
    #[test]
    fn a_wide_zstd_window_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // Magic, descriptor without single segment, window descriptor for 2^31, an empty last block.
        let path = file(&folder, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00]);
        assert!(matches!(read(&path, Limits::default()), Err(SourceError::Malformed(_))));
    }
}
