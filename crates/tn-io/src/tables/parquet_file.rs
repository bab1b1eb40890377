//! Batches from and to Parquet files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, LargeListArray, ListArray, ListBuilder, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;

use super::column::{Batch, ColumnSpec, Values, parse_list, parse_number_list};
use super::texts::{TextLists, Texts};
use super::{BATCH_ROWS, TableError, WRITTEN_ROWS};
use crate::output::AtomicFile;
use crate::{ColumnKind, unforeseen};

/// Rows of a row group, at most.
const ROW_GROUP_ROWS: usize = 16 * BATCH_ROWS;
/// Bytes of values from which on a row group is closed: bounds the memory of writer and readers.
const ROW_GROUP_BYTES: usize = 4 << 20;
/// Row groups that are encoded at once. Neither it nor the file depends on the number of threads.
const ROW_GROUPS_AT_ONCE: usize = 8;
/// Metadata that Arrow keeps for itself.
const ARROW_SCHEMA_KEY: &str = "ARROW:schema";

/// Writes row groups, several of which are encoded and compressed at once.
#[derive(Debug)]
pub(super) struct ParquetWriter {
    path: PathBuf,
    schema: Arc<Schema>,
    file: SerializedFileWriter<AtomicFile>,
    encoders: ArrowRowGroupWriterFactory,
    open: RowGroup,
    /// Row groups that are full and not written yet.
    full: Vec<RowGroup>,
}

#[derive(Debug, Default)]
struct RowGroup {
    batches: Vec<Batch>,
    rows: usize,
    bytes: usize,
}

impl ParquetWriter {
    pub(super) fn create(path: &Path, specs: &[ColumnSpec]) -> Result<Self, TableError> {
        let schema = Arc::new(Schema::new(specs.iter().map(field).collect::<Vec<_>>()));
        let writer = arrow_writer(path, &schema, ROW_GROUP_ROWS)?;
        let (file, encoders) = writer.into_serialized_writer().map_err(|source| write_error(path, source))?;
        Ok(Self { path: path.to_owned(), schema, file, encoders, open: RowGroup::default(), full: Vec::new() })
    }

    pub(super) fn add_metadata(&mut self, key: &str, value: &str) {
        self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
    }

    pub(super) fn write(&mut self, batch: Batch) -> Result<(), TableError> {
        self.open.rows += batch.rows;
        self.open.bytes += batch.bytes;
        self.open.batches.push(batch);
        if self.open.rows >= ROW_GROUP_ROWS || self.open.bytes >= ROW_GROUP_BYTES {
            self.full.push(std::mem::take(&mut self.open));
        }
        if self.full.len() == ROW_GROUPS_AT_ONCE { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), TableError> {
        if self.open.rows > 0 {
            self.full.push(std::mem::take(&mut self.open));
        }
        self.flush()?;
        let file = self.file.into_inner().map_err(|source| write_error(&self.path, source))?;
        file.commit().map_err(|source| TableError::Write { path: self.path, source })
    }

    /// Encodes the full row groups, and writes them in their order.
    fn flush(&mut self) -> Result<(), TableError> {
        let first = self.file.flushed_row_groups().len();
        let encode = |(number, group)| encode_row_group(&self.encoders, &self.schema, first + number, group);
        let encoded: Vec<_> = std::mem::take(&mut self.full).into_par_iter().enumerate().map(encode).collect();
        for chunks in encoded {
            self.append(chunks).map_err(|source| write_error(&self.path, source))?;
        }
        Ok(())
    }

    fn append(&mut self, chunks: Result<Vec<ArrowColumnChunk>, ParquetError>) -> Result<(), ParquetError> {
        let chunks = chunks?;
        let mut group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close().map(drop)
    }
}

fn encode_row_group(
    encoders: &ArrowRowGroupWriterFactory,
    schema: &Schema,
    number: usize,
    group: RowGroup,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let mut columns = encoders.create_column_writers(number)?;
    // A batch is let go when it has been encoded.
    for batch in group.batches {
        let mut writers = columns.iter_mut();
        for (field, (_, values)) in schema.fields().iter().zip(batch.columns) {
            for (leaf, writer) in compute_leaves(field, &to_array(values)?)?.iter().zip(&mut writers) {
                writer.write(leaf)?;
            }
        }
    }
    columns.into_iter().map(|writer| writer.close()).collect()
}

/// Starts a file that appears when it is finished.
pub(crate) fn arrow_writer(path: &Path, schema: &Arc<Schema>, row_group_rows: usize) -> Result<ArrowWriter<AtomicFile>, TableError> {
    let file = AtomicFile::create(path).map_err(|source| TableError::Write { path: path.to_owned(), source })?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(row_group_rows))
        // Every sentence is another one: a dictionary of them would be given up.
        .set_column_dictionary_enabled(ColumnPath::from("sentence"), false)
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

fn to_array(values: Values) -> Result<ArrayRef, ParquetError> {
    Ok(match values {
        Values::Text(values) => Arc::new(text_array(values)?),
        Values::Number(values) => Arc::new(Float64Array::from(values)),
        Values::Integer(values) => Arc::new(Int64Array::from(values)),
        Values::Flag(values) => Arc::new(BooleanArray::from(values)),
        Values::List(TextLists { items, ends, is_missing }) => {
            let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
            Arc::new(ListArray::try_new(item, offsets(&ends)?, Arc::new(text_array(items)?), present(is_missing))?)
        }
        Values::NumberList(values) => {
            let mut builder = ListBuilder::new(Float64Builder::new());
            for list in values {
                builder.values().append_slice(list.as_deref().unwrap_or_default());
                builder.append(list.is_some());
            }
            Arc::new(builder.finish())
        }
    })
}

fn text_array(Texts { text, ends, is_missing }: Texts) -> Result<StringArray, ParquetError> {
    Ok(StringArray::try_new(offsets(&ends)?, Buffer::from_vec(text.into_bytes()), present(is_missing))?)
}

fn offsets(ends: &[usize]) -> Result<OffsetBuffer<i32>, ParquetError> {
    let offsets = std::iter::once(&0).chain(ends).map(|&end| i32::try_from(end));
    let too_long = |_| ParquetError::General(format!("{WRITTEN_ROWS} rows of a column have more than 2 GB"));
    Ok(OffsetBuffer::new(offsets.collect::<Result<Vec<i32>, _>>().map_err(too_long)?.into()))
}

fn present(is_missing: Vec<bool>) -> Option<NullBuffer> {
    is_missing.contains(&true).then(|| is_missing.into_iter().map(|is_missing| !is_missing).collect())
}

pub(crate) struct ParquetReader {
    file: ParquetFile,
    reader: ParquetRecordBatchReader,
}

/// What is known of a file that is read.
#[derive(Clone)]
pub(super) struct ParquetFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    kinds: Vec<(String, ColumnKind)>,
}

impl std::fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetReader").field("path", &self.file.path).field("columns", &self.file.kinds).finish_non_exhaustive()
    }
}

impl ParquetFile {
    /// Returns the number of rows that every row group says it has.
    pub(super) fn row_groups(&self) -> Vec<usize> {
        self.metadata.metadata().row_groups().iter().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).collect()
    }

    /// Opens the file once more, to read a single row group of it.
    pub(super) fn row_group(&self, group: usize) -> Result<ParquetReader, TableError> {
        let file = File::open(&self.path).map_err(|source| TableError::Open { path: self.path.clone(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        self.read(builder.with_row_groups(vec![group]))
    }

    fn read(&self, builder: ParquetRecordBatchReaderBuilder<File>) -> Result<ParquetReader, TableError> {
        let reader = read(&self.path, || builder.with_projection(self.mask.clone()).with_batch_size(BATCH_ROWS).build())?;
        Ok(ParquetReader { file: self.clone(), reader })
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
        let mask = ProjectionMask::roots(builder.parquet_schema(), chosen);
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(builder.metadata()), ArrowReaderOptions::default())
            .map_err(|source| TableError::Parquet { path: path.to_owned(), source })?;
        ParquetFile { path: path.to_owned(), metadata, mask, kinds }.read(builder)
    }

    pub(super) fn file(&self) -> &ParquetFile {
        &self.file
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        key_values(self.file.metadata.metadata().file_metadata().key_value_metadata())
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, TableError> {
        let Some(batch) = read(&self.file.path, || Ok(self.reader.next().transpose()?))? else { return Ok(None) };
        let columns = self
            .file
            .kinds
            .iter()
            .map(|(name, kind)| {
                let array = batch.column_by_name(name).ok_or_else(|| TableError::MissingColumn {
                    path: self.file.path.clone(),
                    column: name.clone(),
                    columns: Vec::new(),
                })?;
                Ok((name.clone(), self.values(name, array, *kind)?))
            })
            .collect::<Result<_, TableError>>()?;
        Ok(Some(Batch { columns, rows: batch.num_rows(), bytes: 0 }))
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
                let mut lists = TextLists::default();
                for text in text.as_string::<i32>() {
                    let list = text.map(parse_list).transpose().map_err(|_| wrong_type())?;
                    lists.push(list.as_ref().map(|list| list.iter().map(String::as_str)));
                }
                Values::List(lists)
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
                Values::Text(as_type(&DataType::Utf8)?.as_string::<i32>().iter().collect())
            }
        })
    }

    fn wrong_type(&self, column: &str, expected: ColumnKind, found: &DataType) -> TableError {
        TableError::WrongType { path: self.file.path.clone(), column: column.to_owned(), expected, found: found.to_string() }
    }
}

fn text_lists(arrays: &LargeListArray) -> TextLists {
    let mut lists = TextLists::default();
    for list in arrays.iter() {
        lists.push(list.as_ref().map(|items| items.as_string::<i32>().iter().map(Option::unwrap_or_default)));
    }
    lists
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
