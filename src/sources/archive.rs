use super::file::ZSTD_WINDOW_LOG_MAX;
use flate2::read::MultiGzDecoder;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Why a packed file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// More than one file in it, or none.
    #[error("the zip archive holds {0} files, and exactly one is expected: unpack it and choose the right one")]
    FileCount(usize),
    /// Larger than its reader is willing to hold.
    #[error("the file is larger than {} MiB when it is unpacked", .0 >> 20)]
    TooLarge(u64),
    /// Broken, or packed by a method that is not known here.
    #[error("the file cannot be unpacked: {0}")]
    Broken(String),
}

/// The content of a small file that may be a zip archive of one file, gzip or zstd: at most `bytes_max` bytes of it, and
/// never a look at the names inside.
pub fn unpacked(bytes: Vec<u8>, bytes_max: u64) -> Result<Vec<u8>, ArchiveError> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        let mut archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| ArchiveError::Broken(error.to_string()))?;
        if archive.len() != 1 {
            return Err(ArchiveError::FileCount(archive.len()));
        }
        let file = archive.by_index(0).map_err(|error| ArchiveError::Broken(error.to_string()))?;
        return bounded(file, bytes_max);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return bounded(MultiGzDecoder::new(bytes.as_slice()), bytes_max);
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let broken = |error: std::io::Error| ArchiveError::Broken(error.to_string());
        let mut decoder = zstd::stream::read::Decoder::new(bytes.as_slice()).map_err(broken)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
        return bounded(decoder, bytes_max);
    }
    bounded(bytes.as_slice(), bytes_max)
}

fn bounded(reader: impl Read, bytes_max: u64) -> Result<Vec<u8>, ArchiveError> {
    let mut content = Vec::new();
    reader.take(bytes_max + 1).read_to_end(&mut content).map_err(|error| ArchiveError::Broken(error.to_string()))?;
    if content.len() as u64 > bytes_max { Err(ArchiveError::TooLarge(bytes_max)) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn one_file_is_taken_out_of_its_archive() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"Date,USD").unwrap();
        let named = zipped(&[("../../etc/passwd", b"Date,USD")]);
        let zstd = zstd::encode_all(&b"Date,USD"[..], 1).unwrap();
        for bytes in [b"Date,USD".to_vec(), gzip.finish().unwrap(), zstd, named] {
            assert_eq!(unpacked(bytes, 100).unwrap(), b"Date,USD");
        }
    }

    /// I02: bombs, lies and tricks: many entries, several that share their bytes, a size that is not true, a link, a
    /// packed file within a packed one. No name in an archive is ever used as a path.
    #[test]
    fn hostile_archives_are_refused_or_are_only_bytes() {
        let mut many = ZipWriter::new(Cursor::new(Vec::new()));
        for number in 0..65_000 {
            many.start_file(format!("{number}.csv"), SimpleFileOptions::default()).unwrap();
        }
        let many = many.finish().unwrap().into_inner();
        assert!(matches!(unpacked(many, 100), Err(ArchiveError::FileCount(65_000))));

        // The directory names the same bytes again and again.
        let one = zipped(&[("a.csv", &[b'0'; 50_000])]);
        let at = one.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        let end = one.windows(4).position(|bytes| bytes == b"PK\x05\x06").unwrap();
        let mut overlapping = [&one[..end], &one[at..end], &one[end..]].concat();
        let place = overlapping.len() - 22;
        overlapping[place + 8..place + 12].copy_from_slice(&[2, 0, 2, 0]);
        let size = u32::from_le_bytes(overlapping[place + 12..place + 16].try_into().unwrap()) * 2;
        overlapping[place + 12..place + 16].copy_from_slice(&size.to_le_bytes());
        assert!(unpacked(overlapping, 10_000).is_err());

        // Both headers say that it holds ten bytes.
        let mut liar = one.clone();
        for place in [22, at + 24] {
            assert_eq!(liar[place..place + 4], 50_000_u32.to_le_bytes());
            liar[place..place + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
        assert!(unpacked(liar, 10_000).is_err(), "more comes out than it says");

        // Ten mebibytes from ten kilobytes, and a bomb in a bomb is a packed file that is no text.
        let bomb = zipped(&[("a.csv", &vec![b'0'; 10 << 20])]);
        assert!(bomb.len() < 64 << 10);
        assert!(matches!(unpacked(bomb.clone(), 1 << 20), Err(ArchiveError::TooLarge(_))));
        let zstd = zstd::encode_all(&vec![b'0'; 10 << 20][..], 1).unwrap();
        assert!(matches!(unpacked(zstd.clone(), 1 << 20), Err(ArchiveError::TooLarge(_))));
        assert!(matches!(unpacked(zstd[..zstd.len() / 2].to_vec(), 100 << 20), Err(ArchiveError::Broken(_))));
        let nested = unpacked(zipped(&[("b.zip", &bomb)]), 1 << 20).unwrap();
        assert_eq!(nested, bomb, "it is unpacked once");

        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("link.csv", target.to_str().unwrap(), SimpleFileOptions::default()).unwrap();
        let bytes = unpacked(link.finish().unwrap().into_inner(), 1000).unwrap();
        assert_eq!(bytes, target.to_str().unwrap().as_bytes(), "a link is its text");
        let outside = zipped(&[(&format!("../../../../{}", target.display()), b"x")]);
        assert_eq!(unpacked(outside, 10).unwrap(), b"x");
        assert!(!target.exists() && std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn what_does_not_fit_or_breaks_off_is_refused() {
        let large = zipped(&[("a.csv", &[b'0'; 100_000])]);
        assert!(matches!(unpacked(large.clone(), 99_999), Err(ArchiveError::TooLarge(99_999))));
        assert!(matches!(unpacked(vec![b'0'; 11], 10), Err(ArchiveError::TooLarge(10))));
        assert!(matches!(unpacked(large[..60].to_vec(), 1 << 20), Err(ArchiveError::Broken(_))));
        let two = zipped(&[("a.csv", b"1"), ("b.csv", b"2")]);
        assert!(matches!(unpacked(two, 10), Err(ArchiveError::FileCount(2))));
    }
}
