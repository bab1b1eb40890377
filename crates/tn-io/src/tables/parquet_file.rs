//! Batches from and to Parquet files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, LargeListArray, ListBuilder, RecordBatch,
    StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::column::{Batch, ColumnSpec, Values, parse_list, parse_number_list};
use super::{BATCH_ROWS, TableError};
use crate::output::AtomicFile;
use crate::{ColumnKind, unforeseen};

/// Rows per row group: bounds the memory of writer and readers.
const ROW_GROUP_ROWS: usize = 16 * BATCH_ROWS;
/// Metadata that Arrow keeps for itself.
const ARROW_SCHEMA_KEY: &str = "ARROW:schema";

#[derive(Debug)]
pub(super) struct ParquetWriter {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<AtomicFile>,
}

impl ParquetWriter {
    pub(super) fn create(path: &Path, specs: &[ColumnSpec]) -> Result<Self, TableError> {
        let schema = Arc::new(Schema::new(specs.iter().map(field).collect::<Vec<_>>()));
        let writer = arrow_writer(path, &schema, ROW_GROUP_ROWS)?;
        Ok(Self { path: path.to_owned(), schema, writer })
    }

    pub(super) fn add_metadata(&mut self, key: &str, value: &str) {
        add_metadata(&mut self.writer, key, value);
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), TableError> {
        let arrays = batch.columns.iter().map(|(_, values)| to_array(values)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|source| write_error(&self.path, ParquetError::ArrowError(source.to_string())))?;
        self.writer.write(&batch).map_err(|source| write_error(&self.path, source))
    }

    pub(super) fn finish(self) -> Result<(), TableError> {
        finish(&self.path, self.writer)
    }
}

/// Starts a file that appears when it is finished.
pub(crate) fn arrow_writer(path: &Path, schema: &Arc<Schema>, row_group_rows: usize) -> Result<ArrowWriter<AtomicFile>, TableError> {
    let file = AtomicFile::create(path).map_err(|source| TableError::Write { path: path.to_owned(), source })?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(row_group_rows))
        .build();
    // Without Arrow's copy of the schema, Python shows our metadata as the metadata of the schema.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(file, Arc::clone(schema), options).map_err(|source| write_error(path, source))
}

pub(crate) fn add_metadata(writer: &mut ArrowWriter<AtomicFile>, key: &str, value: &str) {
    writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
}

pub(crate) fn finish(path: &Path, writer: ArrowWriter<AtomicFile>) -> Result<(), TableError> {
    let file = writer.into_inner().map_err(|source| write_error(path, source))?;
    file.commit().map_err(|source| TableError::Write { path: path.to_owned(), source })
}

pub(crate) fn write_error(path: &Path, source: ParquetError) -> TableError {
    TableError::Write { path: path.to_owned(), source: std::io::Error::other(source) }
}

fn field(spec: &ColumnSpec) -> Field {
    let data_type = match spec.kind {
        ColumnKind::Number => DataType::Float64,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Flag => DataType::Boolean,
        ColumnKind::List => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        ColumnKind::NumberList => DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))),
        ColumnKind::Text | ColumnKind::Category | ColumnKind::Other => DataType::Utf8,
    };
    Field::new(&spec.name, data_type, true)
}

fn to_array(values: &Values) -> ArrayRef {
    match values {
        Values::Text(values) => Arc::new(StringArray::from_iter(values.iter().map(Option::as_deref))),
        Values::Number(values) => Arc::new(Float64Array::from(values.clone())),
        Values::Integer(values) => Arc::new(Int64Array::from(values.clone())),
        Values::Flag(values) => Arc::new(BooleanArray::from(values.clone())),
        Values::List(values) => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for list in values {
                for item in list.iter().flatten() {
                    builder.values().append_value(item);
                }
                builder.append(list.is_some());
            }
            Arc::new(builder.finish())
        }
        Values::NumberList(values) => {
            let mut builder = ListBuilder::new(Float64Builder::new());
            for list in values {
                builder.values().append_slice(list.as_deref().unwrap_or_default());
                builder.append(list.is_some());
            }
            Arc::new(builder.finish())
        }
    }
}

pub(crate) struct ParquetReader {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    reader: ParquetRecordBatchReader,
    kinds: Vec<(String, ColumnKind)>,
}

impl std::fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetReader").field("path", &self.path).field("columns", &self.kinds).finish_non_exhaustive()
    }
}

impl ParquetReader {
    pub(super) fn open(path: &Path, specs: &[ColumnSpec], keeps_others: bool) -> Result<Self, TableError> {
        let builder = open_builder(path)?;
        let schema = Arc::clone(builder.schema());
        let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut kinds = Vec::new();
        let mut chosen = Vec::new();
        for spec in specs {
            match schema.index_of(&spec.name) {
                Ok(index) => {
                    check_type(path, spec, schema.field(index).data_type())?;
                    chosen.push(index);
                    kinds.push((spec.name.clone(), spec.kind));
                }
                Err(_) if spec.is_required => {
                    return Err(TableError::MissingColumn { path: path.to_owned(), column: spec.name.clone(), columns });
                }
                Err(_) => {}
            }
        }
        if keeps_others {
            for (index, field) in schema.fields().iter().enumerate() {
                if !chosen.contains(&index) && is_texty(field.data_type()) {
                    chosen.push(index);
                    kinds.push((field.name().clone(), ColumnKind::Text));
                }
            }
        }
        let metadata = key_values(builder.metadata().file_metadata().key_value_metadata());
        let mask = ProjectionMask::roots(builder.parquet_schema(), chosen);
        let reader = read(path, || builder.with_projection(mask).with_batch_size(BATCH_ROWS).build())?;
        Ok(Self { path: path.to_owned(), metadata, reader, kinds })
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, TableError> {
        let Some(batch) = read(&self.path, || Ok(self.reader.next().transpose()?))? else { return Ok(None) };
        let columns = self
            .kinds
            .iter()
            .map(|(name, kind)| {
                let array = batch.column_by_name(name).ok_or_else(|| TableError::MissingColumn {
                    path: self.path.clone(),
                    column: name.clone(),
                    columns: Vec::new(),
                })?;
                Ok((name.clone(), self.values(name, array, *kind)?))
            })
            .collect::<Result<_, TableError>>()?;
        Ok(Some(Batch { columns, rows: batch.num_rows() }))
    }

    fn values(&self, name: &str, array: &ArrayRef, kind: ColumnKind) -> Result<Values, TableError> {
        let wrong_type = || self.wrong_type(name, kind, array.data_type());
        let as_type = |data_type: &DataType| cast(array, data_type).map_err(|_| wrong_type());
        Ok(match kind {
            ColumnKind::Number => Values::Number(as_type(&DataType::Float64)?.as_primitive::<Float64Type>().iter().collect()),
            ColumnKind::Integer => Values::Integer(as_type(&DataType::Int64)?.as_primitive::<Int64Type>().iter().collect()),
            ColumnKind::Flag => Values::Flag(as_type(&DataType::Boolean)?.as_boolean().iter().collect()),
            ColumnKind::List if item_type(array.data_type()).is_some() => {
                let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
                let lists = as_type(&DataType::LargeList(item))?;
                Values::List(text_lists(lists.as_list::<i64>()))
            }
            ColumnKind::List => {
                let text = as_type(&DataType::Utf8)?;
                let lists = text.as_string::<i32>().iter().map(|text| text.map(parse_list).transpose());
                Values::List(lists.collect::<Result<_, _>>().map_err(|_| wrong_type())?)
            }
            ColumnKind::NumberList if item_type(array.data_type()).is_some() => {
                let item = Arc::new(Field::new_list_field(DataType::Float64, true));
                let lists = as_type(&DataType::LargeList(item))?;
                Values::NumberList(number_lists(lists.as_list::<i64>()))
            }
            ColumnKind::NumberList => {
                let text = as_type(&DataType::Utf8)?;
                let lists = text.as_string::<i32>().iter().map(|text| text.map(parse_number_list).transpose());
                Values::NumberList(lists.collect::<Result<_, _>>().map_err(|_| wrong_type())?)
            }
            ColumnKind::Text | ColumnKind::Category | ColumnKind::Other => {
                Values::Text(as_type(&DataType::Utf8)?.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
            }
        })
    }

    fn wrong_type(&self, column: &str, expected: ColumnKind, found: &DataType) -> TableError {
        TableError::WrongType { path: self.path.clone(), column: column.to_owned(), expected, found: found.to_string() }
    }
}

fn text_lists(lists: &LargeListArray) -> Vec<Option<Vec<String>>> {
    lists
        .iter()
        .map(|list| list.map(|items| items.as_string::<i32>().iter().map(|item| item.unwrap_or_default().to_owned()).collect()))
        .collect()
}

/// A missing number of a list is NaN.
fn number_lists(lists: &LargeListArray) -> Vec<Option<Vec<f64>>> {
    let numbers = |items: ArrayRef| items.as_primitive::<Float64Type>().iter().map(|item| item.unwrap_or(f64::NAN)).collect();
    lists.iter().map(|list| list.map(numbers)).collect()
}

/// Opens a Parquet file for reading.
pub(crate) fn open_builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, TableError> {
    let file = File::open(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
    read(path, || ParquetRecordBatchReaderBuilder::try_new(file))
}

/// Runs a call of the Parquet layer, which panics about some damaged pages.
pub(crate) fn read<T>(path: &Path, call: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, TableError> {
    let result = unforeseen::catch(call).unwrap_or_else(|message| Err(ParquetError::General(message)));
    result.map_err(|source| TableError::Parquet { path: path.to_owned(), source })
}

/// Returns the columns of a file and what they hold.
pub(super) fn column_kinds(path: &Path) -> Result<Vec<(String, ColumnKind)>, TableError> {
    let builder = open_builder(path)?;
    Ok(builder.schema().fields().iter().map(|field| (field.name().clone(), kind_of(field.data_type()))).collect())
}

/// Returns the key-value metadata that people wrote.
pub(crate) fn key_values(metadata: Option<&Vec<KeyValue>>) -> BTreeMap<String, String> {
    metadata
        .into_iter()
        .flatten()
        .filter(|pair| pair.key != ARROW_SCHEMA_KEY)
        .filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)))
        .collect()
}

/// Says what an Arrow column holds.
fn kind_of(data_type: &DataType) -> ColumnKind {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnKind::Text,
        // The first Xenium programs wrote text without saying that it is text.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => ColumnKind::Text,
        DataType::Dictionary(_, values) if kind_of(values) == ColumnKind::Text => ColumnKind::Category,
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::Boolean => ColumnKind::Flag,
        other if other.is_integer() => ColumnKind::Integer,
        other if other.is_floating() => ColumnKind::Number,
        other => match item_type(other) {
            Some(item) if item.is_numeric() => ColumnKind::NumberList,
            Some(_) => ColumnKind::List,
            None => ColumnKind::Other,
        },
    }
}

/// Returns what a list holds, nothing for another type.
fn item_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

fn is_texty(data_type: &DataType) -> bool {
    !matches!(kind_of(data_type), ColumnKind::List | ColumnKind::NumberList | ColumnKind::Other)
}

fn check_type(path: &Path, spec: &ColumnSpec, data_type: &DataType) -> Result<(), TableError> {
    let found = kind_of(data_type);
    let fits = match spec.kind {
        ColumnKind::Text | ColumnKind::Category | ColumnKind::Other => is_texty(data_type),
        ColumnKind::Number => matches!(found, ColumnKind::Number | ColumnKind::Integer),
        ColumnKind::Integer => matches!(found, ColumnKind::Number | ColumnKind::Integer),
        ColumnKind::Flag => matches!(found, ColumnKind::Flag | ColumnKind::Integer),
        ColumnKind::List => matches!(found, ColumnKind::List | ColumnKind::NumberList | ColumnKind::Text | ColumnKind::Category),
        // Lists of which none has an item hold nothing.
        ColumnKind::NumberList if item_type(data_type).is_some_and(DataType::is_null) => true,
        ColumnKind::NumberList => matches!(found, ColumnKind::NumberList | ColumnKind::Text | ColumnKind::Category),
    };
    // A column of nothing but missing values is of any type.
    if fits || data_type.is_null() {
        return Ok(());
    }
    Err(TableError::WrongType { path: path.to_owned(), column: spec.name.clone(), expected: spec.kind, found: data_type.to_string() })
}
