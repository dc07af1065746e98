//! The file that an export writes, in the form that its name says.

use super::parquet::ParquetExport;
use anyhow::{Context, bail};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file in the making, beside the one that it will be.
pub(super) struct ExportFile {
    table: Table,
}

enum Table {
    Csv(Box<csv::Writer<Output>>),
    Parquet(Box<ParquetExport>),
}

impl ExportFile {
    /// Begins a file that will have this name, with these columns.
    pub fn create<'a>(file: &Path, header: impl Iterator<Item = &'a str>) -> anyhow::Result<Self> {
        let name = file.to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".parquet") {
            let export = ParquetExport::create(&partial(file), &partial_rows(file), header)?;
            return Ok(Self { table: Table::Parquet(Box::new(export)) });
        }
        let mut output = csv::Writer::from_writer(Output::create(&name, file)?);
        output.write_record(header)?;
        Ok(Self { table: Table::Csv(Box::new(output)) })
    }

    /// Cells in the order of the header; an empty one is null.
    pub fn write(&mut self, row: &[String]) -> anyhow::Result<()> {
        match &mut self.table {
            Table::Csv(output) => Ok(output.write_record(row)?),
            Table::Parquet(output) => output.write(row),
        }
    }

    /// Ends the file, all of it on the disk, and says what its reader should know of it.
    pub fn finish(self) -> anyhow::Result<Vec<String>> {
        match self.table {
            Table::Csv(output) => {
                output.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?.finish()?;
                Ok(Vec::new())
            }
            Table::Parquet(output) => output.finish(),
        }
    }
}

/// Gives a finished file its name.
pub(super) fn keep(file: &Path) -> std::io::Result<()> {
    fs::rename(partial(file), file)
}

/// Removes what an export that failed left.
pub(super) fn discard(file: &Path) {
    for path in [partial(file), partial_rows(file)] {
        let _ = fs::remove_file(path);
    }
}

fn partial(file: &Path) -> PathBuf {
    file.with_extension("partial")
}

/// Rows of a Parquet file until the kinds of its columns are known.
fn partial_rows(file: &Path) -> PathBuf {
    file.with_extension("partial-rows")
}

/// A buffered file that is new or overwritten.
pub(super) fn buffered(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::with_capacity(256 * 1024, file))
}

/// Where text goes, and how it is ended.
enum Output {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Output {
    fn create(name: &str, file: &Path) -> anyhow::Result<Self> {
        let output = || buffered(&partial(file));
        Ok(match name {
            name if name.ends_with(".csv") => Self::Plain(output()?),
            name if name.ends_with(".csv.gz") => {
                Self::Gzip(flate2::write::GzEncoder::new(output()?, flate2::Compression::default()))
            }
            name if name.ends_with(".csv.zst") => Self::Zstd(zstd::stream::write::Encoder::new(output()?, 3)?),
            _ => bail!("{} names no form that can be written: .csv, .csv.gz, .csv.zst or .parquet", file.display()),
        })
    }

    fn finish(self) -> anyhow::Result<()> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()?;
        Ok(file.get_ref().sync_all()?)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
        }
    }
}
