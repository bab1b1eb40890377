//! Training sequences as tokens: the table that other training programs read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Float32Builder, Int32Builder, ListBuilder, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type, Int32Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;

use crate::ColumnKind;
use crate::output::AtomicFile;
use crate::tables::{TableError, TableFormat, parquet_file};

/// Sequences of a row group, and of a batch: they have thousands of tokens each.
const BATCH_ROWS: usize = 256;

/// The columns, and what their lists hold.
const COLUMNS: [(&str, DataType); 3] = [("input_ids", DataType::Int32), ("labels", DataType::Int32), ("weights", DataType::Float32)];

/// A training sequence. The label at a place is the token of the same place, which the model is to predict from those before, or -100
/// where there is no loss; its weight is how much it counts in the mean loss of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenRow {
    /// The tokens.
    pub input_ids: Vec<i32>,
    /// One label a token.
    pub labels: Vec<i32>,
    /// One weight a token.
    pub weights: Vec<f32>,
}

/// Writes a Parquet file of training sequences, with the columns `input_ids: list<int32>`, `labels: list<int32>` and `weights: list<float>`:
/// what `datasets` of Hugging Face hands to a trainer as it is.
///
/// The file appears when [`TokenTableWriter::finish`] returns; before that, and if the writer is dropped, there is none.
///
/// ```
/// use tn_io::{TokenRow, TokenTableReader, TokenTableWriter};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("tokens.parquet");
/// let row = TokenRow { input_ids: vec![5, 7, 9], labels: vec![-100, 7, 9], weights: vec![1.0, 1.0, 8.0] };
/// let mut writer = TokenTableWriter::create(&path)?;
/// writer.write(&row)?;
/// writer.finish()?;
/// assert_eq!(TokenTableReader::open(&path)?.collect::<Result<Vec<_>, _>>()?, [row]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TokenTableWriter {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<AtomicFile>,
    columns: Columns,
    rows: usize,
}

#[derive(Debug)]
struct Columns {
    input_ids: ListBuilder<Int32Builder>,
    labels: ListBuilder<Int32Builder>,
    weights: ListBuilder<Float32Builder>,
}

impl TokenTableWriter {
    /// Starts a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the extension is not that of a Parquet file, or the folder cannot be written.
    pub fn create<P: AsRef<Path>>(path: P) -> Result<Self, TableError> {
        let path = path.as_ref();
        if TableFormat::of_path(path)? != TableFormat::Parquet {
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            return Err(TableError::UnknownFormat { path: path.to_owned(), extension });
        }
        let schema = Arc::new(schema());
        let writer = parquet_file::arrow_writer(path, &schema, BATCH_ROWS)?;
        Ok(Self { path: path.to_owned(), schema, writer, columns: Columns::empty(), rows: 0 })
    }

    /// Stores a text in the file's key-value metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        parquet_file::add_metadata(&mut self.writer, key, value);
        self
    }

    /// Writes a sequence.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails.
    ///
    /// # Panics
    ///
    /// Panics when there is not one label and one weight a token.
    pub fn write(&mut self, row: &TokenRow) -> Result<(), TableError> {
        let tokens = row.input_ids.len();
        assert!(row.labels.len() == tokens && row.weights.len() == tokens, "one label and one weight a token");
        self.columns.push(row);
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails; then there is no file.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        parquet_file::finish(&self.path, self.writer)
    }

    fn flush(&mut self) -> Result<(), TableError> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let batch = self.columns.take(&self.schema).map_err(|source| ParquetError::ArrowError(source.to_string()));
        batch.and_then(|batch| self.writer.write(&batch)).map_err(|source| parquet_file::write_error(&self.path, source))
    }
}

impl Columns {
    fn empty() -> Self {
        let [ids, labels, weights] = COLUMNS.map(|(_, item)| item_field(item));
        Self {
            input_ids: ListBuilder::new(Int32Builder::new()).with_field(ids),
            labels: ListBuilder::new(Int32Builder::new()).with_field(labels),
            weights: ListBuilder::new(Float32Builder::new()).with_field(weights),
        }
    }

    fn push(&mut self, row: &TokenRow) {
        self.input_ids.values().append_slice(&row.input_ids);
        self.input_ids.append(true);
        self.labels.values().append_slice(&row.labels);
        self.labels.append(true);
        self.weights.values().append_slice(&row.weights);
        self.weights.append(true);
    }

    fn take(&mut self, schema: &Arc<Schema>) -> Result<RecordBatch, arrow::error::ArrowError> {
        let arrays =
            vec![Arc::new(self.input_ids.finish()) as _, Arc::new(self.labels.finish()) as _, Arc::new(self.weights.finish()) as _];
        RecordBatch::try_new(Arc::clone(schema), arrays)
    }
}

fn schema() -> Schema {
    let field = |(name, item)| Field::new(name, DataType::List(Arc::new(item_field(item))), false);
    Schema::new(COLUMNS.map(field).to_vec())
}

/// The name of the items is that of the Parquet format.
fn item_field(item: DataType) -> Field {
    Field::new("element", item, false)
}

/// Reads such a table, sequence by sequence.
pub struct TokenTableReader {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    next: usize,
    rows_before: usize,
}

impl std::fmt::Debug for TokenTableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenTableReader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TokenTableReader {
    /// Opens a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened, is damaged, lacks a column or has a column of another type.
    pub fn open<P: AsRef<Path>>(path: P) -> Result<Self, TableError> {
        let path = path.as_ref();
        let builder = parquet_file::open_builder(path)?;
        for (name, item) in COLUMNS {
            let columns = || builder.schema().fields().iter().map(|field| field.name().clone()).collect();
            let missing = || TableError::MissingColumn { path: path.to_owned(), column: name.to_owned(), columns: columns() };
            let found = builder.schema().field_with_name(name).map_err(|_| missing())?.data_type();
            if !matches!(found, DataType::List(field) if *field.data_type() == item) {
                let (column, expected, found) = (name.to_owned(), ColumnKind::NumberList, found.to_string());
                return Err(TableError::WrongType { path: path.to_owned(), column, expected, found });
            }
        }
        let metadata = parquet_file::key_values(builder.metadata().file_metadata().key_value_metadata());
        let reader = parquet_file::read(path, || builder.with_batch_size(BATCH_ROWS).build())?;
        Ok(Self { path: path.to_owned(), metadata, reader, batch: None, next: 0, rows_before: 0 })
    }

    /// Returns the key-value metadata of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn next_row(&mut self) -> Result<Option<TokenRow>, TableError> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == self.next) {
            self.rows_before += self.next;
            self.next = 0;
            self.batch = parquet_file::read(&self.path, || Ok(self.reader.next().transpose()?))?;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        let Some(batch) = &self.batch else { return Ok(None) };
        let row = TokenRow {
            input_ids: self.list::<Int32Type>(batch, 0)?,
            labels: self.list::<Int32Type>(batch, 1)?,
            weights: self.list::<Float32Type>(batch, 2)?,
        };
        let expected = row.input_ids.len();
        for (column, found) in [(COLUMNS[1].0, row.labels.len()), (COLUMNS[2].0, row.weights.len())] {
            if found != expected {
                let source = format!("expected {expected}, as many as tokens").into();
                let (path, row) = (self.path.clone(), self.rows_before + self.next);
                return Err(TableError::InvalidValue { path, row, column: column.to_owned(), found: format!("{found} items"), source });
            }
        }
        self.next += 1;
        Ok(Some(row))
    }

    fn list<T: ArrowPrimitiveType>(&self, batch: &RecordBatch, column: usize) -> Result<Vec<T::Native>, TableError> {
        let name = COLUMNS[column].0;
        let missing = || TableError::MissingValue { path: self.path.clone(), row: self.rows_before + self.next, column: name.to_owned() };
        let lists = batch.column_by_name(name).and_then(|array| array.as_list_opt::<i32>()).ok_or_else(missing)?;
        if lists.is_null(self.next) {
            return Err(missing());
        }
        let items = lists.value(self.next);
        match items.as_primitive_opt::<T>() {
            Some(items) if items.null_count() == 0 => Ok(items.values().to_vec()),
            _ => Err(missing()),
        }
    }
}

impl Iterator for TokenTableReader {
    type Item = Result<TokenRow, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}
