use super::error::SourceError;
use super::file::Progress;
use std::io::{self, Read};

/// How much a compressed file may unpack to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most unpacked bytes.
    pub unpacked_bytes_max: u64,
    /// Most unpacked bytes for one delivered byte.
    pub ratio_max: u64,
    /// Up to here the ratio is not looked at: small files may repeat themselves.
    pub ratio_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked_bytes_max: 50_000_000_000, ratio_max: 200, ratio_free_bytes: 10 * 1024 * 1024 }
    }
}

/// Ends with an error as soon as the unpacked bytes exceed the limits.
pub(super) struct Bounded<R> {
    pub input: R,
    pub limits: Limits,
    pub progress: Progress,
    pub unpacked_bytes: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.unpacked_bytes += count as u64;
        if self.unpacked_bytes > self.limits.unpacked_bytes_max {
            let gigabytes = self.limits.unpacked_bytes_max / 1_000_000_000;
            return Err(SourceError::OutOfBounds(format!("it unpacks to more than {gigabytes} GB")).into_io());
        }
        let ratio_bytes = self.progress.bytes_read().saturating_mul(self.limits.ratio_max);
        if self.unpacked_bytes > self.limits.ratio_free_bytes && self.unpacked_bytes > ratio_bytes {
            let ratio = self.limits.ratio_max;
            let reason = format!("it unpacks to more than {ratio} times its size, as no bill does");
            return Err(SourceError::OutOfBounds(reason).into_io());
        }
        Ok(count)
    }
}
