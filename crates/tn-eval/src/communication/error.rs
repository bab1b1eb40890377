//! Why communication cannot be inferred.

use thiserror::Error;

/// An error of [`Communication`](super::Communication).
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CommunicationError {
    /// Every cell has its label.
    #[error("{cells} cells and {labels} labels cannot be paired")]
    LengthMismatch {
        /// Cells of the matrix.
        cells: usize,
        /// Labels, or places, given.
        labels: usize,
    },
    /// Nobody could speak to anybody.
    #[error("no group has {needed} cells; groups are {}", sizes(groups))]
    NoGroups {
        /// Cells that a group needs.
        needed: usize,
        /// The groups and their cells.
        groups: Vec<(String, usize)>,
    },
    /// None of the pairs can be measured.
    #[error(
        "none of {pairs} pairs has all its genes among the {genes} of the matrix, for example {example}; are the symbols of another species or case?"
    )]
    NoPairs {
        /// Pairs given.
        pairs: usize,
        /// Genes of the matrix.
        genes: usize,
        /// The first pair.
        example: String,
    },
    /// Geometric means need values of zero or more.
    #[error("{gene} of cell {cell} is {value}; communication takes expression of zero or more")]
    Negative {
        /// The gene.
        gene: String,
        /// The cell, counted from 0.
        cell: usize,
        /// Its value.
        value: f32,
    },
    /// A setting is out of its range.
    #[error("{setting} is {value}; it must be {expected}")]
    InvalidSetting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it has to be.
        expected: &'static str,
    },
}

fn sizes(groups: &[(String, usize)]) -> String {
    groups.iter().map(|(group, cells)| format!("{group} ({cells} cells)")).collect::<Vec<_>>().join(", ")
}
