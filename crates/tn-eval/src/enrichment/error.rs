use thiserror::Error;

use crate::gene_sets::GeneMatch;

/// An error of an enrichment analysis.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum EnrichmentError {
    /// A score has no place in a ranking.
    #[error("the score of {gene} is {score}; a ranking takes finite numbers")]
    NotFinite {
        /// The gene.
        gene: String,
        /// Its score.
        score: f64,
    },
    /// A gene is there twice.
    #[error("gene {gene} is given twice, at {first} and {second}; symbols that differ in case are one gene when case is ignored")]
    RepeatedGene {
        /// The gene.
        gene: String,
        /// Where it is first, counted from 0.
        first: usize,
        /// Where it is again.
        second: usize,
    },
    /// All scores are the same, so that they rank nothing.
    #[error("all {genes} scores are {score}: they rank nothing")]
    ConstantScores {
        /// Genes given.
        genes: usize,
        /// Their score.
        score: f64,
    },
    /// There are too few genes to rank or to test.
    #[error("{genes} genes are too few; at least {needed} are needed")]
    TooFewGenes {
        /// Genes given.
        genes: usize,
        /// Genes needed.
        needed: usize,
    },
    /// No set is left.
    #[error("none of {sets} sets has {min} to {max} of the genes: {matches}")]
    NoSets {
        /// Sets given.
        sets: usize,
        /// Genes that a set needs.
        min: usize,
        /// Genes that a set may have.
        max: usize,
        /// How the genes and the sets fit together.
        matches: GeneMatch,
    },
    /// Genes of the list are not in the background.
    #[error("{missing} of {genes} genes are not in the background, for example {}", examples.join(", "))]
    OutsideBackground {
        /// Genes that are not.
        missing: usize,
        /// Genes of the list.
        genes: usize,
        /// Some of them.
        examples: Vec<String>,
    },
    /// A weight is no power.
    #[error("the weight is {0}; it must be a number of 0 or more")]
    InvalidWeight(f64),
}
