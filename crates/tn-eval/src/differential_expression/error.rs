use thiserror::Error;

/// An error of [`DifferentialExpression`](crate::DifferentialExpression).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DifferentialExpressionError {
    /// Every cell has its label.
    #[error("{cells} cells and {labels} labels cannot be paired")]
    LengthMismatch {
        /// Cells of the matrix.
        cells: usize,
        /// Labels given.
        labels: usize,
    },
    /// No cell has this label.
    #[error("there is no group {group:?}; groups are {}", groups.join(", "))]
    UnknownGroup {
        /// The group that was asked for.
        group: String,
        /// Those that there are, ascending.
        groups: Vec<String>,
    },
    /// A group is not its own reference.
    #[error("group {group:?} is compared with itself")]
    SameGroup {
        /// The group.
        group: String,
    },
    /// A group, or a group that is the reference, has too few cells.
    #[error("group {group:?} has {cells} cells, at least {needed} are needed")]
    TooFewCells {
        /// The group.
        group: String,
        /// Its cells.
        cells: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Too few cells are left for the reference.
    #[error("there are {cells} cells outside group {group:?}, at least {needed} are needed")]
    TooFewOthers {
        /// The group.
        group: String,
        /// Cells with other labels.
        cells: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A gene that was chosen is not in the matrix.
    #[error("there is no gene {gene:?}")]
    UnknownGene {
        /// The gene.
        gene: String,
    },
    /// No gene is left to be compared.
    #[error("none of {genes} genes is detected in {min_cells} cells of group {group:?} and its reference")]
    NoGenes {
        /// The group.
        group: String,
        /// Genes of the matrix, or those chosen.
        genes: usize,
        /// In how many cells a gene has to be detected.
        min_cells: usize,
    },
}
