//! One column of a Parquet file, read a batch of rows at a time.

use super::parquet_text::{Kind, write_cell};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::{ColumnDescPtr, Type};
use std::fs::File;
use std::sync::Arc;

/// Rows that are read at once: enough to pay for the calls, few enough to stay in the cache.
pub(super) const BATCH_ROWS: usize = 1024;

pub(super) enum Column {
    /// A value or null in each row.
    Flat(Box<FlatColumn>),
    /// A map, list or struct, read by the record reader over this column alone.
    Nested(RowIter<'static>),
}

impl Column {
    /// The column of a field of the root.
    pub fn open(reader: &Arc<SerializedFileReader<File>>, root_index: usize) -> Result<Self> {
        let schema = reader.metadata().file_metadata().schema_descr();
        let field = Arc::clone(&schema.root_schema().get_fields()[root_index]);
        let leaf_index = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == root_index);
        let leaf_index = leaf_index.ok_or_else(|| ParquetError::General(format!("{} has no values", field.name())))?;
        let leaf = schema.column(leaf_index);
        if field.is_primitive() && leaf.max_rep_level() == 0 {
            let kind = Kind::of(&field);
            return Ok(Self::Flat(Box::new(FlatColumn {
                leaf_index,
                leaf,
                kind,
                levels: Vec::new(),
                values: None,
                next_value: 0,
            })));
        }
        let only_this = Type::group_type_builder(schema.root_schema().name()).with_fields(vec![field]).build()?;
        let reader = Box::new(Shared(Arc::clone(reader)));
        Ok(Self::Nested(RowIter::from_file_into(reader).project(Some(only_this))?))
    }

    /// Goes to a row group.
    pub fn enter(&mut self, group: &dyn RowGroupReader) -> Result<()> {
        match self {
            Self::Flat(column) => {
                column.values = Some(Values::of(group.get_column_reader(column.leaf_index)?));
                Ok(())
            }
            // The record reader goes through the row groups by itself.
            Self::Nested(_) => Ok(()),
        }
    }

    /// Reads the next batch of a row group.
    pub fn read_batch(&mut self, row_count: usize) -> Result<()> {
        match self {
            Self::Flat(column) => column.read_batch(row_count),
            Self::Nested(_) => Ok(()),
        }
    }

    /// Appends the cell of a row of the batch. Rows are asked for in order, each once.
    pub fn write_next(&mut self, row: usize, text: &mut String) -> Result<()> {
        match self {
            Self::Flat(column) => column.write_next(row, text),
            Self::Nested(rows) => {
                let record = rows.next().transpose()?.ok_or_else(|| ended("a nested column"))?;
                if let Some((_, field)) = record.get_column_iter().next() {
                    write_cell(text, field, Kind::Other);
                }
                Ok(())
            }
        }
    }
}

/// The file with its index, which all columns use together.
struct Shared(Arc<SerializedFileReader<File>>);

impl FileReader for Shared {
    fn metadata(&self) -> &ParquetMetaData {
        self.0.metadata()
    }

    fn num_row_groups(&self) -> usize {
        self.0.num_row_groups()
    }

    fn get_row_group(&self, index: usize) -> Result<Box<dyn RowGroupReader + '_>> {
        self.0.get_row_group(index)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_file(projection, self)
    }
}

pub(super) struct FlatColumn {
    leaf_index: usize,
    leaf: ColumnDescPtr,
    kind: Kind,
    levels: Vec<i16>,
    values: Option<Values>,
    next_value: usize,
}

impl FlatColumn {
    fn read_batch(&mut self, row_count: usize) -> Result<()> {
        self.levels.clear();
        self.next_value = 0;
        let values = self.values.as_mut().ok_or_else(|| ended(self.leaf.name()))?;
        let read_count = values.read(row_count, &mut self.levels)?;
        if read_count != row_count {
            return Err(ended(self.leaf.name()));
        }
        Ok(())
    }

    fn write_next(&mut self, row: usize, text: &mut String) -> Result<()> {
        let is_null = self.leaf.max_def_level() > 0 && self.levels.get(row) != Some(&self.leaf.max_def_level());
        let Some(values) = self.values.as_ref().filter(|_| !is_null) else { return Ok(()) };
        let index = self.next_value;
        self.next_value += 1;
        if let Values::Bytes(_, values) = values
            && let Some(value) = values.get(index)
            && self.leaf.converted_type() == parquet::basic::ConvertedType::UTF8
            && let Ok(value) = std::str::from_utf8(value.data())
            && !value.contains('\0')
        {
            text.push_str(value);
            return Ok(());
        }
        let field = values.field(index, &self.leaf)?.ok_or_else(|| ended(self.leaf.name()))?;
        write_cell(text, &field, self.kind);
        Ok(())
    }
}

/// The reader of a column and the non-null values of its batch.
enum Values {
    Bool(ColumnReaderImpl<parquet::data_type::BoolType>, Vec<bool>),
    Int32(ColumnReaderImpl<parquet::data_type::Int32Type>, Vec<i32>),
    Int64(ColumnReaderImpl<parquet::data_type::Int64Type>, Vec<i64>),
    Int96(ColumnReaderImpl<parquet::data_type::Int96Type>, Vec<Int96>),
    Float(ColumnReaderImpl<parquet::data_type::FloatType>, Vec<f32>),
    Double(ColumnReaderImpl<parquet::data_type::DoubleType>, Vec<f64>),
    Bytes(ColumnReaderImpl<parquet::data_type::ByteArrayType>, Vec<ByteArray>),
    FixedBytes(ColumnReaderImpl<parquet::data_type::FixedLenByteArrayType>, Vec<FixedLenByteArray>),
}

impl Values {
    fn of(reader: ColumnReader) -> Self {
        match reader {
            ColumnReader::BoolColumnReader(reader) => Self::Bool(reader, Vec::new()),
            ColumnReader::Int32ColumnReader(reader) => Self::Int32(reader, Vec::new()),
            ColumnReader::Int64ColumnReader(reader) => Self::Int64(reader, Vec::new()),
            ColumnReader::Int96ColumnReader(reader) => Self::Int96(reader, Vec::new()),
            ColumnReader::FloatColumnReader(reader) => Self::Float(reader, Vec::new()),
            ColumnReader::DoubleColumnReader(reader) => Self::Double(reader, Vec::new()),
            ColumnReader::ByteArrayColumnReader(reader) => Self::Bytes(reader, Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => Self::FixedBytes(reader, Vec::new()),
        }
    }

    /// The number of rows that were read.
    fn read(&mut self, row_count: usize, levels: &mut Vec<i16>) -> Result<usize> {
        match self {
            Self::Bool(reader, values) => read_values(reader, row_count, levels, values),
            Self::Int32(reader, values) => read_values(reader, row_count, levels, values),
            Self::Int64(reader, values) => read_values(reader, row_count, levels, values),
            Self::Int96(reader, values) => read_values(reader, row_count, levels, values),
            Self::Float(reader, values) => read_values(reader, row_count, levels, values),
            Self::Double(reader, values) => read_values(reader, row_count, levels, values),
            Self::Bytes(reader, values) => read_values(reader, row_count, levels, values),
            Self::FixedBytes(reader, values) => read_values(reader, row_count, levels, values),
        }
    }

    /// A value under the meaning that the schema gives it.
    fn field(&self, index: usize, leaf: &ColumnDescPtr) -> Result<Option<Field>> {
        Ok(match self {
            Self::Bool(_, values) => values.get(index).map(|value| Field::convert_bool(leaf, *value)),
            Self::Int32(_, values) => values.get(index).map(|value| Field::convert_int32(leaf, *value)),
            Self::Int64(_, values) => values.get(index).map(|value| Field::convert_int64(leaf, *value)),
            Self::Int96(_, values) => values.get(index).map(|value| Field::convert_int96(leaf, *value)),
            Self::Float(_, values) => values.get(index).map(|value| Field::convert_float(leaf, *value)),
            Self::Double(_, values) => values.get(index).map(|value| Field::convert_double(leaf, *value)),
            Self::Bytes(_, values) => {
                values.get(index).map(|value| Field::convert_byte_array(leaf, value.clone())).transpose()?
            }
            Self::FixedBytes(_, values) => {
                values.get(index).map(|value| Field::convert_byte_array(leaf, value.clone().into())).transpose()?
            }
        })
    }
}

/// One call may stop at the end of a page.
fn read_values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    row_count: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<usize> {
    values.clear();
    let mut read_count = 0;
    while read_count < row_count {
        let (rows, _, _) = reader.read_records(row_count - read_count, Some(levels), None, values)?;
        if rows == 0 {
            break;
        }
        read_count += rows;
    }
    Ok(read_count)
}

fn ended(column: &str) -> ParquetError {
    ParquetError::EOF(format!("{column} has fewer rows than the file says"))
}
