//! What the matrices of a file hold.

use std::fmt;

use serde::Serialize;
use tn_sentence::LogarithmBase;

use crate::logarithm_base::logarithm_base;
use crate::section_reader::SectionReader;
use crate::{AnnData, ReadError, ValueScale};

/// Cells whose expression is looked at.
const SAMPLE_CELLS: usize = 2_000;

/// What a matrix holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MatrixSummary {
    /// `X` or `layers/NAME`.
    pub name: String,
    /// How it is stored, or why it cannot be read.
    pub encoding: String,
    /// What the first cells hold; nothing if it cannot be read.
    pub values: Option<ValueSummary>,
}

/// What the expression of the first cells looks like.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ValueSummary {
    /// Counts, logarithms or neither.
    pub scale: ValueScale,
    /// Base of the logarithms, if they are logarithms of scaled counts.
    pub log_base: Option<LogarithmBase>,
    /// Smallest value, zeros left out.
    pub smallest: f32,
    /// Largest value.
    pub largest: f32,
    /// Mean number of genes that a cell expresses.
    pub genes_per_cell: f64,
}

/// Summarizes a matrix, or says why it cannot be opened.
pub(super) fn summarize_anndata_matrix(name: &str, opened: Result<&AnnData, &ReadError>) -> MatrixSummary {
    match opened {
        Ok(section) => summarize_matrix(section.matrix_encoding(), section),
        Err(error) => MatrixSummary { name: name.to_owned(), encoding: error.to_string(), values: None },
    }
}

/// Summarizes the first cells of a matrix, or says why they cannot be read.
pub(super) fn summarize_matrix<R: SectionReader>((name, encoding): (String, String), section: &R) -> MatrixSummary {
    let cells = section.n_cells().min(SAMPLE_CELLS).min(section.rows_per_block());
    match section.rows(0..cells) {
        Err(error) => MatrixSummary { name, encoding: error.to_string(), values: None },
        Ok(rows) => {
            let values = || rows.values().iter().copied();
            let scale = ValueScale::of_values(values());
            let log_base = if scale == ValueScale::Logarithms { logarithm_base(&rows) } else { None };
            MatrixSummary {
                name,
                encoding,
                values: Some(ValueSummary {
                    scale,
                    log_base,
                    smallest: values().filter(|value| *value != 0.0).fold(f32::INFINITY, f32::min),
                    largest: values().fold(f32::NEG_INFINITY, f32::max),
                    genes_per_cell: rows.values().len() as f64 / cells.max(1) as f64,
                }),
            }
        }
    }
}

impl fmt::Display for ValueSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scale, self.log_base) {
            (ValueScale::Counts, _) => write!(f, "counts")?,
            (ValueScale::Logarithms, Some(base)) => write!(f, "logarithms of scaled counts, base {base}")?,
            (ValueScale::Logarithms, None) => write!(f, "logarithms, base unknown")?,
            (ValueScale::Linear, _) => write!(f, "scaled, not logged")?,
            (ValueScale::Centered, _) => write!(f, "centered (has negative values)")?,
            (ValueScale::Empty, _) => return write!(f, "no values"),
        }
        write!(f, ", {} to {}, {:.1} genes per cell", self.smallest, self.largest, self.genes_per_cell)
    }
}
