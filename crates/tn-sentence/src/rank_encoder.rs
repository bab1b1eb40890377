//! From expression to gene rankings.

use thiserror::Error;

use crate::{GeneRanking, Vocabulary, seed::request_seed};

/// Turns the expression of a cell into its gene ranking: zeros dropped, highest first.
///
/// # Ties
///
/// Counts are small numbers, so most genes of a cell share their value with others. By default
/// ([`TieBreak::Seed`]) each cell gets its own random order of them, from a hash of seed, cell name and gene: the order
/// does not depend on which cells were encoded before, nor on the number of threads. [`TieBreak::Symbol`] sorts them by
/// symbol instead.
///
/// # Empty input and NaN
///
/// A cell without a value above zero has an empty ranking. NaN, infinite and negative values are errors: they mean that
/// the matrix does not hold counts or their logarithms.
///
/// # Examples
///
/// ```
/// use tn_sentence::{RankEncoder, Vocabulary};
///
/// let panel = Vocabulary::new(["GFAP", "AQP4", "IGF2"])?;
/// let encoder = RankEncoder::new(&panel).with_max_genes(100).with_seed(42);
/// assert_eq!(encoder.encode(&[5.0, 0.0, 1.0])?.to_string(), "GFAP IGF2");
///
/// // The same cell as a row of a sparse matrix.
/// let ranking = encoder.encode_sparse(&[2, 0], &[1.0, 5.0], "cell-7")?;
/// assert_eq!(ranking.to_string(), "GFAP IGF2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RankEncoder<'v> {
    vocabulary: &'v Vocabulary,
    max_genes: usize,
    seed: u64,
    tie_break: TieBreak,
    /// For each gene, its place among the sorted symbols.
    symbol_ranks: Vec<u32>,
}

/// How genes of equal expression are ordered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TieBreak {
    /// At random, from the seed, the name of the cell and the gene.
    #[default]
    Seed,
    /// By symbol, ascending.
    Symbol,
}

impl<'v> RankEncoder<'v> {
    /// Builds an encoder that keeps all genes and breaks ties at random with seed 42.
    pub fn new(vocabulary: &'v Vocabulary) -> Self {
        let mut by_symbol: Vec<usize> = (0..vocabulary.len()).collect();
        by_symbol.sort_unstable_by_key(|&gene| vocabulary.symbol(gene));
        let mut symbol_ranks = vec![0; vocabulary.len()];
        for (rank, &gene) in (0u32..).zip(&by_symbol) {
            symbol_ranks[gene] = rank;
        }
        Self { vocabulary, max_genes: usize::MAX, seed: 42, tie_break: TieBreak::Seed, symbol_ranks }
    }

    /// Keeps only the `max_genes` highest genes of a cell.
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }

    /// Replaces the seed, 42 by default.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Replaces the order of ties, [`TieBreak::Seed`] by default.
    pub fn with_tie_break(mut self, tie_break: TieBreak) -> Self {
        self.tie_break = tie_break;
        self
    }

    /// Ranks the genes of a cell without a name, from one value for each gene of the panel.
    ///
    /// Cells of equal expression get equal rankings; use [`RankEncoder::encode_named`] where ties should be broken
    /// anew for each cell.
    ///
    /// # Errors
    ///
    /// Returns an error for a wrong number of values and for a value that is no expression.
    pub fn encode(&self, values: &[f32]) -> Result<GeneRanking, EncodeError> {
        self.encode_named(values, "")
    }

    /// Ranks the genes of a cell, from one value for each gene of the panel.
    ///
    /// # Errors
    ///
    /// Returns an error for a wrong number of values and for a value that is no expression.
    pub fn encode_named(&self, values: &[f32], cell_name: &str) -> Result<GeneRanking, EncodeError> {
        if values.len() != self.vocabulary.len() {
            return Err(EncodeError::WrongLength { expected: self.vocabulary.len(), found: values.len() });
        }
        self.rank((0u32..).zip(values.iter().copied()), cell_name)
    }

    /// Ranks the genes of a cell, from the stored entries of its row of a sparse matrix, in any order.
    ///
    /// # Errors
    ///
    /// Returns an error for slices of different length, for a column outside the panel, for a column that is stored
    /// twice with values above zero, and for a value that is no expression.
    pub fn encode_sparse(&self, indices: &[u32], values: &[f32], cell_name: &str) -> Result<GeneRanking, EncodeError> {
        if indices.len() != values.len() {
            return Err(EncodeError::WrongLength { expected: indices.len(), found: values.len() });
        }
        self.rank(indices.iter().copied().zip(values.iter().copied()), cell_name)
    }

    fn rank(&self, entries: impl Iterator<Item = (u32, f32)>, cell_name: &str) -> Result<GeneRanking, EncodeError> {
        let cell_seed = request_seed(self.seed, cell_name, 0);
        let mut keyed = Vec::with_capacity(entries.size_hint().0);
        // Sorted columns, as nearly every file has them, cannot repeat.
        let mut is_sorted = true;
        for (column, value) in entries {
            let gene = self.check(column, value)?;
            if value > 0.0 {
                is_sorted &= keyed.last().is_none_or(|&(_, before)| before < column);
                let tie = match self.tie_break {
                    TieBreak::Seed => (crate::seed::draw(cell_seed, gene as u64) >> 32) as u32,
                    TieBreak::Symbol => self.symbol_ranks[gene],
                };
                // Positive floats compare like their bits; the complement puts the highest first.
                keyed.push((u64::from(!value.to_bits()) << 32 | u64::from(tie), column));
            }
        }
        if !is_sorted && let Some(column) = keyed_twice(&keyed) {
            return Err(EncodeError::RepeatedColumn { column });
        }
        keyed.sort_unstable();
        keyed.truncate(self.max_genes);
        let symbols = self.vocabulary.symbols();
        let genes = keyed.into_iter().map(|(_, column)| symbols[column as usize].clone());
        Ok(GeneRanking::from_distinct(genes.collect()))
    }

    fn check(&self, column: u32, value: f32) -> Result<usize, EncodeError> {
        let gene = column as usize;
        if gene >= self.vocabulary.len() {
            return Err(EncodeError::UnknownColumn { column, genes: self.vocabulary.len() });
        }
        if !value.is_finite() || value < 0.0 {
            return Err(EncodeError::InvalidValue { gene: self.vocabulary.symbol(gene).to_owned(), value });
        }
        Ok(gene)
    }
}

/// Returns a column that occurs more than once.
fn keyed_twice(keyed: &[(u64, u32)]) -> Option<u32> {
    let mut columns: Vec<u32> = keyed.iter().map(|(_, column)| *column).collect();
    columns.sort_unstable();
    columns.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// An expression vector that cannot be ranked.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The number of values is not the number of genes, or not the number of indices.
    #[error("expected {expected} values, found {found}")]
    WrongLength {
        /// The number expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A stored entry names a column that the panel does not have.
    #[error("column {column} is outside the panel of {genes} genes")]
    UnknownColumn {
        /// The column, counted from 0.
        column: u32,
        /// The number of genes of the panel.
        genes: usize,
    },
    /// A stored entry occurs twice in a row.
    #[error("column {column} is stored twice in one row")]
    RepeatedColumn {
        /// The column, counted from 0.
        column: u32,
    },
    /// A value is NaN, infinite or negative.
    #[error("expression of {gene} is {value}, expected a finite number that is not negative")]
    InvalidValue {
        /// The gene.
        gene: String,
        /// The value found.
        value: f32,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn panel() -> Vocabulary {
        Vocabulary::new(["D", "C", "B", "A"]).unwrap()
    }

    #[test]
    fn zeros_are_dropped_and_the_highest_comes_first() {
        let panel = panel();
        let ranking = RankEncoder::new(&panel).encode(&[0.5, 0.0, 3.0, -0.0]);
        assert_eq!(ranking.unwrap().to_string(), "B D");
    }

    #[test]
    fn ties_are_broken_by_seed_and_cell() {
        let panel = panel();
        let order = |seed, cell: &str| {
            let encoder = RankEncoder::new(&panel).with_seed(seed);
            encoder.encode_named(&[1.0; 4], cell).unwrap().to_string()
        };
        assert_eq!(order(1, "a"), order(1, "a"));
        let cells: HashSet<_> = (0..50).map(|i| order(1, &i.to_string())).collect();
        let seeds: HashSet<_> = (0..50).map(|seed| order(seed, "a")).collect();
        assert!(cells.len() > 15 && seeds.len() > 15);
    }

    #[test]
    fn ties_can_be_broken_by_symbol() {
        let panel = panel();
        let encoder = RankEncoder::new(&panel).with_tie_break(TieBreak::Symbol);
        let ranking = encoder.encode(&[1.0, 2.0, 1.0, 1.0]).unwrap();
        assert_eq!(ranking.to_string(), "C A B D");
    }

    #[test]
    fn sparse_and_dense_rows_agree() {
        let panel = panel();
        let encoder = RankEncoder::new(&panel).with_max_genes(2);
        assert_eq!(encoder.encode_sparse(&[3, 1, 0], &[1.0, 0.0, 1.0], "x"), encoder.encode_named(&[1.0, 0.0, 0.0, 1.0], "x"),);
    }

    #[test]
    fn an_empty_row_has_an_empty_ranking() {
        let panel = panel();
        let encoder = RankEncoder::new(&panel);
        assert!(encoder.encode_sparse(&[], &[], "x").unwrap().is_empty());
    }

    #[test]
    fn the_number_of_values_must_fit() {
        let panel = panel();
        let wrong = |expected, found| Err(EncodeError::WrongLength { expected, found });
        let encoder = RankEncoder::new(&panel);
        assert_eq!(encoder.encode(&[1.0]), wrong(4, 1));
        assert_eq!(encoder.encode_sparse(&[1], &[], ""), wrong(1, 0));
    }

    #[test]
    fn a_value_must_be_an_expression() {
        let panel = panel();
        let encoder = RankEncoder::new(&panel);
        for value in [f32::INFINITY, -1.0] {
            assert_eq!(encoder.encode(&[0.0, value, 0.0, 0.0]), Err(EncodeError::InvalidValue { gene: "C".into(), value }));
        }
        assert!(encoder.encode(&[f32::NAN, 0.0, 0.0, 0.0]).is_err());
    }

    #[test]
    fn a_column_must_be_of_the_panel_and_stored_once() {
        let panel = panel();
        let encoder = RankEncoder::new(&panel);
        assert_eq!(encoder.encode_sparse(&[4], &[1.0], ""), Err(EncodeError::UnknownColumn { column: 4, genes: 4 }));
        assert_eq!(encoder.encode_sparse(&[1, 2, 1], &[1.0, 1.0, 2.0], ""), Err(EncodeError::RepeatedColumn { column: 1 }));
    }
}
