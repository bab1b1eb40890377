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
        let columns = self.rank((0u32..).zip(values.iter().copied()), cell_name)?;
        Ok(self.ranking(&columns))
    }

    /// Ranks the genes of a cell, from the stored entries of its row of a sparse matrix, in any order.
    ///
    /// # Errors
    ///
    /// Returns an error for slices of different length, for a column outside the panel, for a column that is stored
    /// twice with values above zero, and for a value that is no expression.
    pub fn encode_sparse(&self, indices: &[u32], values: &[f32], cell_name: &str) -> Result<GeneRanking, EncodeError> {
        let columns = self.rank_sparse(indices, values, cell_name)?;
        Ok(self.ranking(&columns))
    }

    /// Ranks the genes of a cell as [`RankEncoder::encode_sparse`] does, but returns their columns in the panel, highest first.
    ///
    /// ```
    /// use tn_sentence::{RankEncoder, Vocabulary};
    ///
    /// let panel = Vocabulary::new(["GFAP", "AQP4", "IGF2"])?;
    /// assert_eq!(RankEncoder::new(&panel).rank_sparse(&[2, 0], &[1.0, 5.0], "cell-7")?, [0, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`RankEncoder::encode_sparse`].
    pub fn rank_sparse(&self, indices: &[u32], values: &[f32], cell_name: &str) -> Result<Vec<u32>, EncodeError> {
        if indices.len() != values.len() {
            return Err(EncodeError::WrongLength { expected: indices.len(), found: values.len() });
        }
        self.rank(indices.iter().copied().zip(values.iter().copied()), cell_name)
    }

    fn ranking(&self, columns: &[u32]) -> GeneRanking {
        let symbols = self.vocabulary.symbols();
        GeneRanking::from_distinct(columns.iter().map(|&column| symbols[column as usize].clone()).collect())
    }

    /// Sorts by keys of 64 bits, which hold from the top: the complement of the value, of which positive ones compare like their
    /// bits; the upper bits of the tie; the column.
    fn rank(&self, entries: impl Iterator<Item = (u32, f32)>, cell_name: &str) -> Result<Vec<u32>, EncodeError> {
        let ties = Ties { encoder: self, cell_seed: request_seed(self.seed, cell_name, 0) };
        let column_bits = self.column_bits();
        let mut keys = Vec::with_capacity(entries.size_hint().0);
        // Sorted columns, as nearly every file has them, cannot repeat.
        let (mut is_sorted, mut next_column) = (true, 0);
        for (column, value) in entries {
            self.check(column, value)?;
            if value > 0.0 {
                is_sorted &= column >= next_column;
                next_column = column + 1;
                let tie = ties.of(column) >> column_bits << column_bits;
                keys.push(u64::from(!value.to_bits()) << 32 | u64::from(tie | column));
            }
        }
        let column_of = |key: u64| (key & ((1 << column_bits) - 1)) as u32;
        if !is_sorted && let Some(column) = first_repeat(keys.iter().map(|&key| column_of(key)).collect()) {
            return Err(EncodeError::RepeatedColumn { column });
        }
        keys.sort_unstable();
        // Few ties are equal in their upper bits, and those are told apart by all of them.
        for run in keys.chunk_by_mut(|a, b| a >> column_bits == b >> column_bits).filter(|run| run.len() > 1) {
            run.sort_by_key(|&key| (ties.of(column_of(key)), key));
        }
        keys.truncate(self.max_genes);
        Ok(keys.into_iter().map(column_of).collect())
    }

    /// Returns how many bits hold every column.
    fn column_bits(&self) -> u32 {
        u32::BITS - (self.vocabulary.len() as u32).saturating_sub(1).leading_zeros()
    }

    fn check(&self, column: u32, value: f32) -> Result<(), EncodeError> {
        let gene = column as usize;
        if gene >= self.vocabulary.len() {
            return Err(EncodeError::UnknownColumn { column, genes: self.vocabulary.len() });
        }
        if !value.is_finite() || value < 0.0 {
            return Err(EncodeError::InvalidValue { gene: self.vocabulary.symbol(gene).to_owned(), value });
        }
        Ok(())
    }
}

/// What orders the genes of a cell that share a value.
struct Ties<'e> {
    encoder: &'e RankEncoder<'e>,
    cell_seed: u64,
}

impl Ties<'_> {
    /// Returns a number by which the gene of a column comes before or after others, its upper bits being the telling ones.
    fn of(&self, column: u32) -> u32 {
        match self.encoder.tie_break {
            TieBreak::Seed => (crate::seed::draw(self.cell_seed, u64::from(column)) >> 32) as u32,
            TieBreak::Symbol => self.encoder.symbol_ranks[column as usize] << (u32::BITS - self.encoder.column_bits().max(1)),
        }
    }
}

/// Returns a column that occurs more than once.
fn first_repeat(mut columns: Vec<u32>) -> Option<u32> {
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

    /// So many genes share a value that some ties differ in their lower bits only.
    #[test]
    fn packed_keys_sort_as_all_bits_do() {
        let panel = Vocabulary::new((0..5_000).map(|gene| format!("G{gene}"))).unwrap();
        let columns: Vec<u32> = (0..5_000).rev().collect();
        let values: Vec<f32> = columns.iter().map(|column| (1 + column % 2) as f32).collect();
        let check = |encoder: RankEncoder<'_>, tie: &dyn Fn(u32) -> u64| {
            let mut expected: Vec<usize> = (0..columns.len()).collect();
            expected.sort_by(|&a, &b| {
                let by_tie = || (tie(columns[a]), columns[a]).cmp(&(tie(columns[b]), columns[b]));
                values[b].total_cmp(&values[a]).then_with(by_tie)
            });
            let expected: Vec<u32> = expected.into_iter().map(|index| columns[index]).collect();
            assert_eq!(encoder.rank_sparse(&columns, &values, "cell").unwrap(), expected);
        };
        let seed = request_seed(7, "cell", 0);
        check(RankEncoder::new(&panel).with_seed(7), &|column| crate::seed::draw(seed, u64::from(column)) >> 32);
        let mut symbols: Vec<&str> = panel.iter().collect();
        symbols.sort_unstable();
        let place = |column: u32| symbols.binary_search(&panel.symbol(column as usize)).unwrap() as u64;
        check(RankEncoder::new(&panel).with_tie_break(TieBreak::Symbol), &place);
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
