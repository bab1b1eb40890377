//! Why an expression file could not be encoded.

use thiserror::Error;
use tn_sentence::{EncodeError, MetadataError, PositionError, VocabularyError};

use crate::read_error::list;
use crate::{LengthUnit, ReadError, TableError};

/// Why an expression file could not be encoded. Every variant names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeSectionError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output cannot be written.
    #[error(transparent)]
    Write(#[from] TableError),
    /// A column is not there.
    #[error("{file} has no column {column:?}; columns are {}; {}", list(columns), advice(option, suggestion.as_deref()))]
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The option that names the column.
        option: &'static str,
        /// A column that might be meant.
        suggestion: Option<String>,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// The coordinates are in pixels, and nobody said how large a pixel is.
    #[error(
        "the coordinates of {file} are in pixels; say how many micrometers one is with --pixel-size (CosMx: 0.12028, or 0.18 in the first published data)"
    )]
    PixelSizeMissing {
        /// The file.
        file: String,
    },
    /// The size of a pixel is given for coordinates that are in another unit.
    #[error("the coordinates of {file} are in {}, not in pixels; leave out --pixel-size", unit_name(*unit))]
    NoPixels {
        /// The file.
        file: String,
        /// The unit.
        unit: LengthUnit,
    },
    /// The size of a pixel is no length.
    #[error("a pixel cannot be {size} micrometers wide; give a positive --pixel-size")]
    InvalidPixelSize {
        /// The size in micrometers.
        size: f64,
    },
    /// The sum that expression is to be scaled to is no sum of counts.
    #[error("expression cannot be scaled to {target_sum} a cell; give a positive --target-sum")]
    InvalidTargetSum {
        /// The sum.
        target_sum: f64,
    },
    /// The genes are no usable panel.
    #[error("the genes of {file} are no usable panel")]
    Genes {
        /// The file.
        file: String,
        /// What is wrong with them.
        source: VocabularyError,
    },
    /// The file has no cells.
    #[error("{file} has no cells")]
    NoCells {
        /// The file.
        file: String,
    },
    /// No cell has any expression.
    #[error("none of the {cells} cells of {file} expresses any gene")]
    NoExpression {
        /// The file.
        file: String,
        /// Cells of the file.
        cells: usize,
    },
    /// The values are neither counts nor logarithms.
    #[error(
        "values of {file} are neither counts nor logarithms: they have fractions and reach {largest}; say what to do with --normalize none or --normalize log1p10"
    )]
    UnclearScale {
        /// The file.
        file: String,
        /// The largest value among the first cells.
        largest: f32,
    },
    /// A cell has expression that cannot be ranked.
    #[error("cell {cell} of {file} cannot be ranked")]
    Expression {
        /// The file.
        file: String,
        /// The cell.
        cell: String,
        /// What is wrong with its expression.
        source: EncodeError,
    },
    /// A cell has no usable coordinates.
    #[error("cell {cell} of {file} has no usable coordinates")]
    Coordinates {
        /// The file.
        file: String,
        /// The cell.
        cell: String,
        /// What is wrong with them.
        source: PositionError,
    },
    /// A cell belongs to no section.
    #[error("cell {cell} of {file} belongs to no section")]
    NoSection {
        /// The file.
        file: String,
        /// The cell.
        cell: String,
    },
    /// A column cannot be a metadata key.
    #[error("a column of {file} cannot be metadata")]
    Metadata {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: MetadataError,
    },
}

fn advice(option: &str, suggestion: Option<&str>) -> String {
    match suggestion {
        Some(column) => format!("did you mean --{option} {column}?"),
        None => format!("name another with --{option}"),
    }
}

fn unit_name(unit: LengthUnit) -> &'static str {
    match unit {
        LengthUnit::Micrometers => "micrometers",
        LengthUnit::Millimeters => "millimeters",
        LengthUnit::Pixels => "pixels",
        LengthUnit::Unstated => "an unstated unit",
    }
}
