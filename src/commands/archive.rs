//! The file of a backup: a plain tar, so that it can be looked into without Costwake. The dump comes last,
//! because its length is known only when it is written.

use anyhow::{Context, ensure};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// What is said of a file that lacks its end.
pub const CUT: &str = "the file ends half-way: it is no whole backup";

const BLOCK: usize = 512;
const NAME_BYTES_MAX: usize = 100;
const MODE: &[u8] = b"0000600\0";
// Longer ones are written in binary, as GNU tar does.
const OCTAL_SIZE_MAX: u64 = 0o77_777_777_777;

/// Adds a file whose content is at hand.
pub fn add(file: &mut File, name: &str, content: &[u8], modified: i64) -> anyhow::Result<()> {
    file.write_all(&header(name, content.len() as u64, modified))?;
    file.write_all(content)?;
    pad(file, content.len() as u64)
}

/// Adds a copy of a file, as long as it is now.
pub fn copy(file: &mut File, name: &str, from: &File, modified: i64) -> anyhow::Result<()> {
    ensure!(name.len() <= NAME_BYTES_MAX, "{name} is too long a name for an archive");
    let size = from.metadata()?.len();
    file.write_all(&header(name, size, modified))?;
    let copied = io::copy(&mut from.take(size), file)?;
    ensure!(copied == size, "{name} became shorter while it was copied");
    pad(file, size)
}

/// Begins a file whose length is not yet known; [`end`] takes what this returns.
pub fn begin(file: &mut File, name: &str, modified: i64) -> anyhow::Result<u64> {
    let at = file.stream_position()?;
    file.write_all(&header(name, 0, modified))?;
    Ok(at)
}

/// Ends the file that was begun, and the archive.
pub fn end(file: &mut File, began_at: u64, name: &str, modified: i64) -> anyhow::Result<u64> {
    let size = file.stream_position()? - began_at - BLOCK as u64;
    pad(file, size)?;
    file.write_all(&[0; 2 * BLOCK])?;
    file.seek(SeekFrom::Start(began_at))?;
    file.write_all(&header(name, size, modified))?;
    Ok(size)
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where its content begins.
    pub at: u64,
    /// How long that is.
    pub size: u64,
}

/// All that is in an archive, which is looked at to its end: one that was cut anywhere is refused.
pub fn members(file: &mut (impl Read + Seek)) -> anyhow::Result<Vec<Member>> {
    let end = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut members = Vec::new();
    while let Some((name, size)) = next(file)? {
        let at = file.stream_position()?;
        let after = at.checked_add(size).and_then(|to| to.checked_add(padding(size)));
        let after = after.filter(|after| *after <= end).context(CUT)?;
        file.seek(SeekFrom::Start(after))?;
        members.push(Member { name, at, size });
    }
    ensure!(next(file)?.is_none(), "the file is damaged: something follows its end");
    Ok(members)
}

// The next file's name and length; two empty blocks are the end.
fn next(file: &mut impl Read) -> anyhow::Result<Option<(String, u64)>> {
    let mut block = [0; BLOCK];
    file.read_exact(&mut block).context(CUT)?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    ensure!(&block[257..262] == b"ustar", "this is not a backup of Costwake");
    let told = octal(&block[148..156]).context("this is not a backup of Costwake")?;
    ensure!(told == checksum(&block), "the file is damaged: a header's checksum does not fit");
    let name = block[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    let size = if block[124] & 0x80 != 0 {
        u64::from_be_bytes(block[128..136].try_into().expect("eight bytes"))
    } else {
        octal(&block[124..136]).context("the file is damaged: a length is not a number")?
    };
    Ok(Some((String::from_utf8_lossy(name).into_owned(), size)))
}

fn header(name: &str, size: u64, modified: i64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(MODE);
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size <= OCTAL_SIZE_MAX {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(format!("{:011o}\0", modified.max(0)).as_bytes());
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

// Of the header with its own place taken as blanks.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let byte = |(place, byte): (usize, &u8)| u64::from(if (148..156).contains(&place) { b' ' } else { *byte });
    block.iter().enumerate().map(byte).sum()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(|c| c == '\0' || c == ' '), 8).ok()
}

fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

fn pad(file: &mut File, size: u64) -> anyhow::Result<()> {
    let zeros = [0; BLOCK];
    file.write_all(&zeros[..usize::try_from(padding(size))?])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_tar_reads_it_too() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let tar = file.as_file_mut();
        add(tar, "about.json", b"{}", 1).unwrap();
        let at = begin(tar, "database.dump", 1).unwrap();
        tar.write_all(&[7; 700]).unwrap();
        assert_eq!(end(tar, at, "database.dump", 1).unwrap(), 700);

        let member = |name: &str, at, size| Member { name: name.into(), at, size };
        assert_eq!(members(tar).unwrap(), [member("about.json", 512, 2), member("database.dump", 1536, 700)]);
        let whole = std::fs::read(file.path()).unwrap();
        for bytes in [whole.len() - 1, whole.len() - 512, whole.len() - 1024, 1600, 1100, 1000, 513, 512, 100, 0] {
            assert_eq!(members(&mut io::Cursor::new(&whole[..bytes])).unwrap_err().to_string(), CUT, "{bytes}");
        }
        let listed = std::process::Command::new("tar").arg("tf").arg(file.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "about.json\ndatabase.dump\n");
    }

    #[test]
    fn sizes_beyond_octal_are_kept() {
        let size = OCTAL_SIZE_MAX + 5;
        assert_eq!(next(&mut header("x", size, 0).as_slice()).unwrap(), Some(("x".into(), size)));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(next(&mut [b'a'; BLOCK].as_slice()).unwrap_err().to_string().contains("not a backup"));
        assert!(next(&mut [0; 9].as_slice()).unwrap_err().to_string().contains("ends half-way"));
    }
}
