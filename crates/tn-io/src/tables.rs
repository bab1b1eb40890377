//! Tables of records: Parquet, or CSV and TSV by extension.

mod cells;
pub(crate) mod column;
pub(crate) mod delimited;
mod error;
mod generated;
mod inspect;
pub(crate) mod parquet_file;
mod sentences;
pub(crate) mod source;
mod surprise;
mod tasks;
mod texts;
mod truth;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

pub use self::column::{ColumnSpec, RowReader, RowWriter};
pub use self::error::{InvalidValue, TableError};
pub use self::truth::TruthRecord;

pub(crate) use self::inspect::inspect;

use rayon::prelude::*;
use tn_sentence::CellRecord;

use self::column::Batch;
use self::delimited::DelimitedWriter;
use self::parquet_file::ParquetWriter;
use self::source::Source;
use crate::ColumnKind;

/// Rows that are read at once.
const BATCH_ROWS: usize = 2_048;
/// Rows of a batch to be written: few, since a row can be a prompt of 100 kB.
const WRITTEN_ROWS: usize = 256;
/// Batches that are filled at once. Neither it nor the file depends on the number of threads.
const BATCHES_AT_ONCE: usize = 32;

/// A type of rows that tables can hold.
///
/// Implemented for the records of `tn-sentence` with the columns of the command line's contract, and for
/// [`TruthRecord`].
pub trait TableRecord: Sized + Send + Sync {
    /// Returns the columns of such a table.
    fn columns() -> Vec<ColumnSpec>;

    /// Returns whether other columns belong to the rows too, as text.
    fn keeps_other_columns() -> bool {
        false
    }

    /// Writes the values of a row.
    fn write(&self, row: &mut RowWriter<'_>);

    /// Reads a row.
    ///
    /// # Errors
    ///
    /// Returns an error that names the row and the column if a value is missing or invalid.
    fn read(row: &RowReader<'_>) -> Result<Self, TableError>;
}

/// The format of a table, by the extension of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// `.parquet` or `.pq`.
    Parquet,
    /// `.csv`.
    Csv,
    /// `.tsv` or `.txt`.
    Tsv,
}

impl TableFormat {
    /// Returns the format of a path.
    ///
    /// # Errors
    ///
    /// Returns an error for any other extension.
    pub fn of_path(path: &Path) -> Result<Self, TableError> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            "parquet" | "pq" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "tsv" | "txt" => Ok(Self::Tsv),
            _ => Err(TableError::UnknownFormat { path: path.to_owned(), extension }),
        }
    }
}

/// Reads a table row by row, in batches, never as a whole. Text may be compressed: `.csv.gz`, `.tsv.gz`.
///
/// Text may be stored as any kind of Arrow string, also as a dictionary, or as numbers; numbers of any width are
/// accepted; a list of text may be a list or, as in CSV files, text that looks like one. Columns the records do not know
/// are ignored, but those of cells become their metadata.
///
/// A Parquet or compressed file that was cut short is an error. Plain text that was cut short after a whole value cannot be
/// told from a shorter table: use Parquet where that matters.
///
/// # Examples
///
/// ```no_run
/// use tn_io::TableReader;
/// use tn_sentence::CellRecord;
///
/// for cell in TableReader::<CellRecord>::open("cells.parquet")? {
///     let cell = cell?;
///     println!("{}: {}", cell.cell_name, cell.ranking.top(5));
/// }
/// # Ok::<(), tn_io::TableError>(())
/// ```
#[derive(Debug)]
pub struct TableReader<R> {
    path: PathBuf,
    source: Source,
    batch: Batch,
    next: usize,
    rows_before: usize,
    max_genes: usize,
    finished: bool,
    record: PhantomData<fn() -> R>,
}

impl TableReader<CellRecord> {
    /// Keeps the `max_genes` highest genes of every cell. Those after them are neither parsed nor checked.
    #[must_use]
    pub fn with_max_genes(self, max_genes: usize) -> Self {
        Self { max_genes, ..self }
    }
}

impl<R: TableRecord> TableReader<R> {
    /// Opens a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened, is damaged, lacks a column or has a column of the wrong type.
    pub fn open<P: AsRef<Path>>(path: P) -> Result<Self, TableError> {
        let path = path.as_ref();
        Ok(Self::of(path, Source::open(path, &R::columns(), R::keeps_other_columns())?))
    }

    /// Returns the key-value metadata of the file (none in CSV and TSV files).
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.source.metadata()
    }

    /// Reads all rows, several row groups of a Parquet file at once.
    ///
    /// # Errors
    ///
    /// Returns the first error of a row.
    pub fn read_all(self) -> Result<Vec<R>, TableError> {
        let Source::Parquet(reader) = &self.source else { return self.collect() };
        let file = reader.file();
        let groups = file.row_groups();
        let first_rows = groups.iter().scan(0_usize, |before, rows| Some(std::mem::replace(before, before.saturating_add(*rows))));
        let parts: Vec<(usize, usize)> = first_rows.enumerate().collect();
        let read_part = |(group, rows_before)| {
            let source = Source::Parquet(Box::new(file.row_group(group)?));
            Self { rows_before, max_genes: self.max_genes, ..Self::of(&self.path, source) }.collect()
        };
        let read: Vec<Result<Vec<R>, TableError>> = parts.into_par_iter().map(read_part).collect();
        // The first error by rows, not by time.
        let mut rows = Vec::new();
        for part in read {
            rows.append(&mut part?);
        }
        Ok(rows)
    }

    fn of(path: &Path, source: Source) -> Self {
        Self {
            path: path.to_owned(),
            source,
            batch: Batch::default(),
            next: 0,
            rows_before: 0,
            max_genes: usize::MAX,
            finished: false,
            record: PhantomData,
        }
    }

    fn next_record(&mut self) -> Result<Option<R>, TableError> {
        while self.next == self.batch.rows {
            self.rows_before += self.batch.rows;
            self.next = 0;
            match self.source.next_batch()? {
                Some(batch) => self.batch = batch,
                None => return Ok(None),
            }
        }
        let row = RowReader {
            path: &self.path,
            batch: &self.batch,
            index: self.next,
            number: self.rows_before + self.next,
            max_genes: self.max_genes,
        };
        self.next += 1;
        R::read(&row).map(Some)
    }
}

impl<R: TableRecord> Iterator for TableReader<R> {
    type Item = Result<R, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let record = self.next_record().transpose();
        self.finished = !matches!(record, Some(Ok(_)));
        record
    }
}

/// Writes a table row by row.
///
/// The file appears when [`TableWriter::finish`] returns; before that, and if the writer is dropped, there is none.
///
/// # Examples
///
/// ```
/// use tn_io::{TableReader, TableWriter};
/// use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
///
/// let cell = CellRecord {
///     cell_name: "cell_1".to_owned(),
///     ranking: GeneRanking::parse("GFAP AQP4")?,
///     position: Position::new(12.5, 80.0)?,
///     section: "section_01".to_owned(),
///     metadata: Metadata::from_pairs([("class", "Astro")])?,
/// };
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("cells.parquet");
/// let mut writer = TableWriter::create_with_columns(&path, &["class"])?;
/// writer.write(&cell)?;
/// writer.finish()?;
///
/// assert_eq!(TableReader::<CellRecord>::open(&path)?.read_all()?, [cell]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TableWriter<R> {
    sink: Sink,
    columns: Vec<ColumnSpec>,
    batch: Batch,
    record: PhantomData<fn(R)>,
}

#[derive(Debug)]
enum Sink {
    Parquet(Box<ParquetWriter>),
    Delimited(Box<DelimitedWriter>),
}

impl<R: TableRecord> TableWriter<R> {
    /// Starts a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the extension is unknown or the folder cannot be written.
    pub fn create<P: AsRef<Path>>(path: P) -> Result<Self, TableError> {
        Self::create_with_columns(path, &[] as &[&str])
    }

    /// Starts a table with more columns of text: metadata keys of cells.
    ///
    /// # Errors
    ///
    /// Returns an error if the extension is unknown or the folder cannot be written, or if a column occurs twice.
    pub fn create_with_columns<P: AsRef<Path>>(path: P, columns: &[impl AsRef<str>]) -> Result<Self, TableError> {
        let path = path.as_ref();
        let mut specs = R::columns();
        for column in columns {
            let column = column.as_ref();
            if specs.iter().any(|spec| spec.name == column) {
                return Err(TableError::RepeatedColumn { path: path.to_owned(), column: column.to_owned() });
            }
            specs.push(ColumnSpec::optional(column, ColumnKind::Text));
        }
        let sink = match TableFormat::of_path(path)? {
            TableFormat::Parquet => Sink::Parquet(Box::new(ParquetWriter::create(path, &specs)?)),
            TableFormat::Csv => Sink::Delimited(Box::new(DelimitedWriter::create(path, b',', &specs)?)),
            TableFormat::Tsv => Sink::Delimited(Box::new(DelimitedWriter::create(path, b'\t', &specs)?)),
        };
        Ok(Self { sink, batch: Batch::empty(&specs), columns: specs, record: PhantomData })
    }

    /// Stores a text in the file's key-value metadata. CSV and TSV files have none: there it is dropped.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        if let Sink::Parquet(writer) = &mut self.sink {
            writer.add_metadata(key, value);
        }
        self
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails.
    pub fn write(&mut self, record: &R) -> Result<(), TableError> {
        self.write_row(|row| record.write(row))
    }

    /// Writes many rows, on all threads. The file is that of single rows.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails.
    pub fn write_all(&mut self, records: &[R]) -> Result<(), TableError> {
        self.write_rows(records, R::write)
    }

    /// Writes rows that are held in another form than records.
    pub(crate) fn write_rows<T: Sync>(&mut self, rows: &[T], write: impl Fn(&T, &mut RowWriter<'_>) + Sync) -> Result<(), TableError> {
        let room = if self.batch.rows == 0 { 0 } else { WRITTEN_ROWS - self.batch.rows };
        let (first, rest) = rows.split_at(room.min(rows.len()));
        let (whole, last) = rest.as_chunks::<WRITTEN_ROWS>();
        first.iter().try_for_each(|row| self.write_row(|writer| write(row, writer)))?;
        for chunks in whole.chunks(BATCHES_AT_ONCE) {
            let batches: Vec<Batch> = chunks.par_iter().map(|rows| batch_of(&self.columns, rows, &write)).collect();
            batches.into_iter().try_for_each(|batch| self.sink.write(batch))?;
        }
        last.iter().try_for_each(|row| self.write_row(|writer| write(row, writer)))
    }

    fn write_row(&mut self, write: impl FnOnce(&mut RowWriter<'_>)) -> Result<(), TableError> {
        write(&mut RowWriter { batch: &mut self.batch });
        self.batch.end_row();
        if self.batch.rows == WRITTEN_ROWS { self.flush() } else { Ok(()) }
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// Returns an error if writing fails; then there is no file.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        match self.sink {
            Sink::Parquet(writer) => writer.finish(),
            Sink::Delimited(writer) => writer.finish(),
        }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        match self.batch.rows {
            0 => Ok(()),
            _ => self.sink.write(std::mem::replace(&mut self.batch, Batch::empty(&self.columns))),
        }
    }
}

fn batch_of<T>(columns: &[ColumnSpec], rows: &[T], write: impl Fn(&T, &mut RowWriter<'_>)) -> Batch {
    let mut batch = Batch::empty(columns);
    for row in rows {
        write(row, &mut RowWriter { batch: &mut batch });
        batch.end_row();
    }
    batch
}

impl Sink {
    fn write(&mut self, batch: Batch) -> Result<(), TableError> {
        match self {
            Self::Parquet(writer) => writer.write(batch),
            Self::Delimited(writer) => writer.write(&batch),
        }
    }
}
