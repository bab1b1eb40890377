//! Why an expression file could not be read.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::TableError;

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
    /// The folder is none that is known.
    #[error("{} is not a folder that can be read: expected {expected}", path.display())]
    UnknownFolder {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// The folder has no Zarr metadata.
    #[error("{} is not a Zarr folder: it has neither zarr.json nor .zgroup", path.display())]
    NotZarr {
        /// The folder.
        path: PathBuf,
    },
    /// The program was built without the feature that reads Zarr.
    #[error(
        "{} is a Zarr folder, which this program was built without: build with --features zarr, or save it as a file: anndata.read_zarr(IN).write_h5ad(OUT)",
        path.display()
    )]
    ZarrNotBuilt {
        /// The folder.
        path: PathBuf,
    },
    /// A SpatialData folder has no table or several.
    #[error("{} holds {} tables ({}); name one by its folder, for example {}", path.display(), tables.len(), list(tables), example(path, folder, tables))]
    SeveralTables {
        /// The folder.
        path: PathBuf,
        /// The group of the tables.
        folder: &'static str,
        /// Their names.
        tables: Vec<String>,
    },
    /// The file cannot be decoded: it is truncated, damaged or uses a feature of HDF5 that cannot be read.
    #[error("cannot read {object} of {}: the file is truncated, damaged or uses a rare feature of its format", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was being read.
        object: String,
        /// What the layer that decodes the format found.
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
    /// A table of the folder cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A text file does not end with a line break.
    #[error("the last line of {} has no end: the file is cut short", path.display())]
    CutShort {
        /// The file.
        path: PathBuf,
    },
    /// A cell of one file of a folder is not in the other.
    #[error(
        "cell {cell} of {} is not in {}: one of the files is cut short, or they are of different runs",
        path.display(),
        other.display()
    )]
    UnmatchedCell {
        /// The file that has the cell.
        path: PathBuf,
        /// The file that has not.
        other: PathBuf,
        /// The cell.
        cell: String,
    },
    /// Two rows of a table are of the same cell.
    #[error("{} has cell {cell} twice", path.display())]
    RepeatedCell {
        /// The file.
        path: PathBuf,
        /// The cell.
        cell: String,
    },
    /// A temporary file that holds expression while the file is read could not be written or read.
    #[error(
        "cannot keep the expression of {} in a temporary file in {}: make room there, or set TMPDIR to a folder that has some",
        path.display(),
        folder.display()
    )]
    TemporaryFile {
        /// The file that is being read.
        path: PathBuf,
        /// The folder of temporary files.
        folder: PathBuf,
        /// Why.
        source: io::Error,
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

/// Returns the folder of a table, as an example of how to name one.
fn example(path: &Path, folder: &str, tables: &[String]) -> String {
    path.join(folder).join(tables.first().map_or("TABLE", String::as_str)).display().to_string()
}
