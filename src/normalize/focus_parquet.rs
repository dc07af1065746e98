//! Rows of a Parquet file as cells of text, so that one reader serves both containers.

use super::cells::{Cells, Filled, Span};
use super::error::BillError;
use super::parquet_column::{BATCH_ROWS, Column};
use super::parquet_pages;
use super::parquet_text::Kind;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::{ReadOptions, ReadOptionsBuilder};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// As for text files: most bytes that a file may unpack to.
const UNPACKED_BYTES_MAX: i64 = 50_000_000_000;

/// Longest row as text.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct ParquetRows {
    file: File,
    reader: Arc<SerializedFileReader<File>>,
    columns: Vec<Column>,
    kinds: Vec<Kind>,
    pub row_count: u64,
    read_count: u64,
    next_group: usize,
    /// Rows of the current row group behind the batch.
    group_rows_left: usize,
    batch_rows: usize,
    batch_row: usize,
    text: String,
    spans: Vec<Span>,
    filled: Filled,
}

impl ParquetRows {
    /// The rows, and the column names of the file.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>), BillError> {
        let file = File::open(path).map_err(BillError::Io)?;
        guarded(|| {
            parquet_pages::check_footer(&file)?;
            let copy = file.try_clone().map_err(BillError::Io)?;
            let reader = Arc::new(SerializedFileReader::new_with_options(copy, without_statistics())?);
            let metadata = reader.metadata();
            let unpacked_bytes = metadata.row_groups().iter().map(|group| group.total_byte_size().max(0));
            if unpacked_bytes.fold(0, i64::saturating_add) > UNPACKED_BYTES_MAX {
                return Err(BillError::OutOfBounds("it unpacks to more than 50 GB".into()));
            }
            let row_count = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
            let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
            let fields = schema.get_fields();
            let names = fields.iter().map(|field| field.name().to_owned()).collect();
            let columns = (0..fields.len()).map(|index| Column::open(&reader, index));
            let rows = Self {
                columns: columns.collect::<Result<_, _>>()?,
                file: file.try_clone().map_err(BillError::Io)?,
                kinds: fields.iter().map(|field| Kind::of(field)).collect(),
                reader,
                row_count,
                read_count: 0,
                next_group: 0,
                group_rows_left: 0,
                batch_rows: 0,
                batch_row: 0,
                text: String::new(),
                spans: Vec::new(),
                filled: Filled::default(),
            };
            Ok((rows, names))
        })
    }

    /// The next row and its number, from 1 on.
    pub fn next(&mut self) -> Result<Option<(u64, Cells<'_>)>, BillError> {
        let has_row = guarded(|| self.read_row().map_err(BillError::from))?;
        if !has_row {
            if self.read_count == self.row_count {
                return Ok(None);
            }
            let (read, expected) = (self.read_count, self.row_count);
            return Err(BillError::Malformed(format!("it says {expected} rows and has {read}")));
        }
        self.read_count += 1;
        if self.text.len() > RECORD_BYTES_MAX {
            return Err(BillError::OutOfBounds(format!("row {} is longer than 1 MiB", self.read_count)));
        }
        Ok(Some((self.read_count, Cells::of(&self.text, &self.spans, self.filled.columns()))))
    }

    /// What the receipt must say of the columns.
    pub fn warnings(&self, names: &[String]) -> Option<String> {
        let is_money = |name: &str| {
            let name = name.to_ascii_lowercase();
            // Within the name: Azure's is CostInBillingCurrency.
            ["cost", "quantity", "price", "usage_amount"].iter().any(|part| name.contains(part))
        };
        let floats: Vec<&str> = names
            .iter()
            .zip(&self.kinds)
            .filter(|(name, kind)| **kind == Kind::Float && is_money(name))
            .map(|(name, _)| name.as_str())
            .collect();
        let (verb, which) = if floats.len() == 1 { ("is", "its") } else { ("are", "their") };
        (!floats.is_empty())
            .then(|| format!("{} {verb} DOUBLE: converted by {which} shortest round-trip text.", floats.join(", ")))
    }

    /// Puts the next row into the text; false behind the last.
    fn read_row(&mut self) -> Result<bool, ParquetError> {
        while self.batch_row == self.batch_rows {
            if !self.read_batch()? {
                return Ok(false);
            }
        }
        self.text.clear();
        self.spans.clear();
        for column in &mut self.columns {
            let start = self.text.len() as u32;
            column.write_next(self.batch_row, &mut self.text)?;
            self.spans.push(Span { start, end: self.text.len() as u32 });
        }
        self.filled.of(&self.spans);
        self.batch_row += 1;
        Ok(true)
    }

    /// Reads the next batch of all columns, from the next row group where this one is done.
    fn read_batch(&mut self) -> Result<bool, ParquetError> {
        if self.group_rows_left == 0 {
            if self.next_group == self.reader.num_row_groups() {
                return Ok(false);
            }
            let group = self.reader.get_row_group(self.next_group)?;
            parquet_pages::check_pages(&self.file, group.metadata())
                .map_err(|error| ParquetError::External(error.into()))?;
            self.next_group += 1;
            self.group_rows_left = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
            for leaf_index in 0..group.num_columns() {
                check_dictionary(group.get_column_page_reader(leaf_index)?)?;
            }
            for column in &mut self.columns {
                column.enter(&*group)?;
            }
        }
        self.batch_rows = self.group_rows_left.min(BATCH_ROWS);
        self.batch_row = 0;
        self.group_rows_left -= self.batch_rows;
        for column in &mut self.columns {
            column.read_batch(self.batch_rows)?;
        }
        Ok(true)
    }
}

/// The reader makes room for as many values as a dictionary says it has, and a lie there would end the process.
fn check_dictionary(mut pages: Box<dyn PageReader>) -> Result<(), ParquetError> {
    if !pages.peek_next_page()?.is_some_and(|page| page.is_dict) {
        return Ok(());
    }
    match pages.get_next_page()? {
        Some(Page::DictionaryPage { buf, num_values, .. }) if num_values as usize > buf.len() => {
            Err(ParquetError::General(format!("a dictionary of {} bytes says {num_values} values", buf.len())))
        }
        _ => Ok(()),
    }
}

/// Of the index of a file only what is needed to find the pages stays in memory.
fn without_statistics() -> ReadOptions {
    ReadOptionsBuilder::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .build()
}

impl From<ParquetError> for BillError {
    fn from(error: ParquetError) -> Self {
        let error = match error {
            ParquetError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => return *own,
                Err(inner) => ParquetError::External(inner),
            },
            other => other,
        };
        let reason: String = error.to_string().chars().take(200).collect();
        Self::Malformed(format!("its Parquet data is damaged ({reason})"))
    }
}

/// The Parquet reader panics on some malformed files; that must not take the process along.
fn guarded<T>(read: impl FnOnce() -> Result<T, BillError>) -> Result<T, BillError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(BillError::Malformed("its Parquet data is damaged".into())))
}

#[cfg(test)]
mod tests {
    use crate::normalize::{BillError, Row, open};
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FixedLenByteArrayType, Int64Type};
    use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
    use parquet::schema::parser::parse_message_type;
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    const SCHEMA: &str = "message bill {
        OPTIONAL FIXED_LEN_BYTE_ARRAY (16) BilledCost (DECIMAL(38,18));
        OPTIONAL DOUBLE EffectiveCost;
        OPTIONAL BYTE_ARRAY BillingCurrency (UTF8);
        REQUIRED INT64 ChargePeriodStart (TIMESTAMP(NANOS,true));
        REQUIRED INT64 ChargePeriodEnd (TIMESTAMP(MICROS,true));
        OPTIONAL BYTE_ARRAY ServiceName (UTF8);
        OPTIONAL group Tags (MAP) { REPEATED group key_value { REQUIRED BYTE_ARRAY key (UTF8); OPTIONAL BYTE_ARRAY value (UTF8); } }
    }";
    const SECONDS: i64 = 1_790_000_000;

    /// Every fifth row has no service, every third no tags; the cost of row n is n at 18 decimals.
    fn write_group(group: &mut SerializedRowGroupWriter<'_, File>, rows: std::ops::Range<i64>) {
        let count = rows.clone().count();
        let all = vec![1_i16; count];
        let costs = rows.clone().map(|row| ByteArray::from(i128::from(row).to_be_bytes().to_vec()).into());
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<FixedLenByteArrayType>().write_batch(&costs.collect::<Vec<_>>(), Some(&all), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&vec![0.1; count], Some(&all), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&vec![ByteArray::from("EUR"); count], Some(&all), None).unwrap();
        column.close().unwrap();
        for unit in [1_000_000_000, 1_000_000] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&vec![SECONDS * unit; count], None, None).unwrap();
            column.close().unwrap();
        }
        let has_service: Vec<i16> = rows.clone().map(|row| i16::from(row % 5 != 0)).collect();
        let services: Vec<ByteArray> =
            rows.clone().filter(|row| row % 5 != 0).map(|row| format!("service {row}").as_str().into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&services, Some(&has_service), None).unwrap();
        column.close().unwrap();
        for (text, present) in [("row", 2_i16), ("yes", 3)] {
            let levels: Vec<i16> = rows.clone().map(|row| if row % 3 == 0 { 0 } else { present }).collect();
            let tagged = vec![ByteArray::from(text); levels.iter().filter(|level| **level > 0).count()];
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&tagged, Some(&levels), Some(&vec![0; count])).unwrap();
            column.close().unwrap();
        }
    }

    fn write(path: &Path, groups: &[std::ops::Range<i64>]) {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
        for rows in groups {
            let mut group = writer.next_row_group().unwrap();
            write_group(&mut group, rows.clone());
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    #[test]
    fn batches_and_row_groups_keep_the_cells_of_a_row_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bill.parquet");
        write(&path, &[0..2500, 2500..2500, 2500..2501, 2501..4000]);
        let mut bill = open(&path).unwrap();
        assert_eq!(bill.format(), "FOCUS 1.0 Parquet");
        assert_eq!(bill.warnings()[2], "EffectiveCost is DOUBLE: converted by its shortest round-trip text.");
        let mut count = 0;
        while let Some(row) = bill.next_row().unwrap() {
            let Row::Charge(charge) = row else { panic!("{row:?}") };
            assert_eq!(charge.line, count as u64 + 1);
            assert_eq!(charge.billed_cost.as_ref().unwrap().fixed(), Some((count, 18)));
            assert_eq!(charge.effective_cost.as_ref().unwrap().to_string(), "0.1");
            assert_eq!(charge.charge_period_start.unwrap().timestamp(), SECONDS);
            assert_eq!(charge.charge_period_end, charge.charge_period_start);
            let service = format!("service {count}");
            assert_eq!(charge.service_name, (count % 5 != 0).then_some(service.as_str()));
            let tags = serde_json::Value::Object(charge.tag_map()).to_string();
            assert_eq!(tags, if count % 3 == 0 { "{}" } else { r#"{"row":"yes"}"# });
            count += 1;
        }
        assert_eq!(count, 4000);
        let progress = bill.progress();
        assert_eq!(progress.bytes_read(), bill.file_bytes());
    }

    /// Refused before room is made for the values.
    #[test]
    fn a_dictionary_that_lies_about_its_size_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bill.parquet");
        write(&path, std::slice::from_ref(&(0..100)));
        let mut bytes = std::fs::read(&path).unwrap();
        // The first page is the dictionary of BilledCost. Its header has the count 100 in a field as 0xc8 0x01; with
        // 0x7f it says 8164 values in the same 1600 bytes.
        let at = bytes.windows(3).position(|window| window == [0x15, 0xc8, 0x01]).unwrap();
        bytes[at + 2] = 0x7f;
        std::fs::write(&path, &bytes).unwrap();
        let mut bill = open(&path).unwrap();
        let error = bill.next_row().unwrap_err().to_string();
        assert!(error.contains("a dictionary of 1600 bytes says 8164 values"), "{error}");
    }

    /// Its pages say their size before they are unpacked.
    #[test]
    fn a_page_that_would_fill_the_memory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bill.parquet");
        let schema = "message bill { REQUIRED DOUBLE BilledCost; REQUIRED DOUBLE EffectiveCost;
            REQUIRED BYTE_ARRAY ChargePeriodStart (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .set_data_page_size_limit(1 << 30)
            .set_write_batch_size(1 << 24)
            .build();
        let mut writer = SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::new(properties)).unwrap();
        let count = 3 << 20;
        let mut group = writer.next_row_group().unwrap();
        for _ in 0..2 {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&vec![0.1; count], None, None).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        let day = ByteArray::from("2026-10-01T00:00:00Z");
        column.typed::<ByteArrayType>().write_batch(&vec![day; count], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let error = open(&path).unwrap().next_row().unwrap_err();
        let expected = "The file is refused: a page of its column BilledCost has 24 MiB, and more than 16 are not taken; \
                        write it with smaller pages.";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_file_that_lost_its_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bill.parquet");
        write(&path, &[0..100, 100..200]);
        let whole = std::fs::read(&path).unwrap();
        for length in [4, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let Some(error) = open(&path).err() else { panic!("{length} bytes were taken for a bill") };
            assert!(matches!(error, BillError::Malformed(_)), "{error}");
        }
    }
}
