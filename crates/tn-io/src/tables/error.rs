//! Why a table could not be read or written.

use std::io;
use std::path::PathBuf;

use parquet::errors::ParquetError;
use thiserror::Error;

use crate::ColumnKind;
use crate::read_error::list;

/// What is wrong with a value of a table.
pub type InvalidValue = Box<dyn std::error::Error + Send + Sync>;

/// Why a table could not be read or written. Every variant names the file; rows count from 0 without the header.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The extension is not one of a table.
    #[error("{} has the extension {extension:?}, expected .parquet, .csv or .tsv", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its extension.
        extension: String,
    },
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The Parquet layer failed: the file is no Parquet file, truncated or damaged.
    #[error("{} is not a readable Parquet file", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet layer found.
        source: ParquetError,
    },
    /// A text file is not a well-formed table.
    #[error("{} is not a well-formed table", path.display())]
    Delimited {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: csv::Error,
    },
    /// A column is not there.
    #[error("{} has no column {column:?}; columns are {}", path.display(), list(columns))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// A column would be written twice.
    #[error("{} would have two columns {column:?}", path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A column holds values of another type.
    #[error("column {column:?} of {} holds {found}, expected {expected}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it should hold.
        expected: ColumnKind,
        /// What it holds.
        found: String,
    },
    /// A value is missing.
    #[error("row {row} of {} has no {column:?}", path.display())]
    MissingValue {
        /// The file.
        path: PathBuf,
        /// The row.
        row: usize,
        /// The column.
        column: String,
    },
    /// A value cannot be used.
    #[error("row {row} of {}: {column:?} is {found:?}", path.display())]
    InvalidValue {
        /// The file.
        path: PathBuf,
        /// The row.
        row: usize,
        /// The column.
        column: String,
        /// The value, or its beginning.
        found: String,
        /// What is wrong with it.
        source: InvalidValue,
    },
}
