//! Why an expression file could not be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an expression file could not be read. Every variant names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else, or it was cut off at the front.
    #[error("{} is not an HDF5 file (.h5ad)", path.display())]
    NotHdf5 {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be decoded: it is truncated, damaged or uses a feature of HDF5 that cannot be read.
    #[error("cannot read {object} of {}: the file is truncated, damaged or uses a rare HDF5 feature", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was being read.
        object: String,
        /// What the HDF5 layer found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part of an AnnData file is not there.
    #[error("{} has no {object}; it holds {}", path.display(), list(found))]
    MissingObject {
        /// The file.
        path: PathBuf,
        /// What was expected.
        object: String,
        /// What is there instead.
        found: Vec<String>,
    },
    /// There is no such column.
    #[error("{} has no column {column:?}; columns are {}", path.display(), list(columns))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// There is no such layer.
    #[error("{} has no layer {layer:?}; layers are {}", path.display(), list(layers))]
    MissingLayer {
        /// The file.
        path: PathBuf,
        /// The layer that was asked for.
        layer: String,
        /// The layers that are there.
        layers: Vec<String>,
    },
    /// The data are stored in a form that cannot be read.
    #[error("{object} of {} is stored as {found}, which cannot be read; {remedy}", path.display())]
    UnsupportedEncoding {
        /// The file.
        path: PathBuf,
        /// What was being read.
        object: String,
        /// Its form.
        found: String,
        /// How to save the file so that it can be read.
        remedy: &'static str,
    },
    /// A column of numbers holds something else.
    #[error("column {column:?} of {} holds {found}, expected numbers", path.display())]
    NotNumbers {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },
    /// Parts of the file do not fit together.
    #[error("{object} of {} has length {found}, expected {expected}", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// What was being read.
        object: String,
        /// The length that fits the rest of the file.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// An index of the file points nowhere.
    #[error("{object} of {} holds {found} in row {row}, expected 0 to {max}", path.display())]
    InvalidIndex {
        /// The file.
        path: PathBuf,
        /// What was being read.
        object: String,
        /// Row of the cell (or position in the array), from 0.
        row: usize,
        /// The index.
        found: i64,
        /// The largest index that fits.
        max: usize,
    },
}

pub(crate) fn list(names: &[String]) -> String {
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}
