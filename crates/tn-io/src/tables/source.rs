//! Batches of rows from a file of any format.

use std::collections::BTreeMap;
use std::path::Path;

use super::column::Batch;
use super::delimited::DelimitedReader;
use super::parquet_file::ParquetReader;
use super::{BATCH_ROWS, ColumnSpec, TableError, TableFormat, parquet_file};
use crate::ColumnKind;

/// An open table.
#[derive(Debug)]
pub(crate) enum Source {
    Parquet(Box<ParquetReader>),
    Delimited(Box<DelimitedReader>),
}

impl Source {
    /// Opens a table to read the given columns of it and, if asked for, all others as text.
    pub(crate) fn open(path: &Path, specs: &[ColumnSpec], keeps_others: bool) -> Result<Self, TableError> {
        Ok(match format_of(path)? {
            TableFormat::Parquet => Self::Parquet(Box::new(ParquetReader::open(path, specs, keeps_others)?)),
            TableFormat::Csv => Self::Delimited(Box::new(DelimitedReader::open(path, b',', specs, keeps_others)?)),
            TableFormat::Tsv => Self::Delimited(Box::new(DelimitedReader::open(path, b'\t', specs, keeps_others)?)),
        })
    }

    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        match self {
            Self::Parquet(reader) => reader.metadata(),
            Self::Delimited(_) => BTreeMap::new(),
        }
    }

    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch>, TableError> {
        match self {
            Self::Parquet(reader) => reader.next_batch(),
            Self::Delimited(reader) => reader.next_batch(BATCH_ROWS),
        }
    }
}

/// Returns the columns of a table and what they hold. A text file does not say what they hold: text.
pub(crate) fn columns(path: &Path) -> Result<Vec<(String, ColumnKind)>, TableError> {
    match format_of(path)? {
        TableFormat::Parquet => parquet_file::column_kinds(path),
        TableFormat::Csv => Ok(DelimitedReader::open(path, b',', &[], true)?.column_names()),
        TableFormat::Tsv => Ok(DelimitedReader::open(path, b'\t', &[], true)?.column_names()),
    }
}

/// Returns the format of a table to be read, which may be compressed text.
fn format_of(path: &Path) -> Result<TableFormat, TableError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
        return match TableFormat::of_path(&path.with_extension("")) {
            Ok(TableFormat::Parquet) | Err(_) => Err(TableError::UnknownFormat { path: path.to_owned(), extension: "gz".to_owned() }),
            text => text,
        };
    }
    TableFormat::of_path(path)
}
