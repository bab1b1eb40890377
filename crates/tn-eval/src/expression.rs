//! Ranks to expression: a line through log10 rank.

mod quality;
mod rank_table;

pub use self::quality::{ExpressionQuality, expression_quality};
pub use self::rank_table::{GeneTable, RankTable, RankTableFitter, RankedExpression};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tn_sentence::Vocabulary;

use crate::correlation::{pearson, spearman};

/// Points whose `log10(1 + rank)` reaches this value take no part in the fit (they do in its statistics).
const MAX_FITTED_LOG_RANK: f64 = 3.0;

/// Expression as a function of rank: `expression = intercept + slope * log10(1 + rank)`, rank 0 being the highest gene.
///
/// Expression is on the scale of the cells that the line was fitted to, `log10(1 + normalized count)` throughout this
/// workspace. The slope is negative for any real tissue.
///
/// ```
/// use tn_eval::ExpressionModel;
/// use tn_sentence::Vocabulary;
///
/// let panel = Vocabulary::new(["AQP4", "GFAP", "GAD1"])?;
/// let line = ExpressionModel::new(1.5, -0.5);
/// assert_eq!(line.at_rank(9), 1.0); // the tenth gene: a tenfold rank, half a unit of log10 less
/// assert_eq!(line.reconstruct(&["GFAP"], &panel), [0.0, 1.5, 0.0]);
/// # Ok::<(), tn_sentence::VocabularyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpressionModel {
    /// Expression of the gene in first position.
    pub intercept: f64,
    /// Change of expression per tenfold rank.
    pub slope: f64,
}

impl ExpressionModel {
    /// The published fit of the MERFISH mouse brain.
    pub const MERFISH_BRAIN: Self = Self::new(1.22900, -0.50926);

    /// Creates a model from its two numbers.
    #[must_use]
    pub const fn new(intercept: f64, slope: f64) -> Self {
        Self { intercept, slope }
    }

    /// Returns the expression of the gene at `rank`, counted from 0.
    ///
    /// Far down a long ranking the line may fall below zero; the value is returned as it is.
    #[must_use]
    pub fn at_rank(&self, rank: usize) -> f64 {
        self.intercept + self.slope * (1.0 + rank as f64).log10()
    }

    /// Returns the expression of every gene of the panel for a ranked list, highest first; genes not in the list have 0.
    ///
    /// Every word of the list takes up a rank, also one outside the panel. A gene that is listed twice has the value of
    /// its last mention (as published; a [`GeneRanking`](tn_sentence::GeneRanking) has none). An empty list gives zeros.
    #[must_use]
    pub fn reconstruct<G: AsRef<str>>(&self, genes: &[G], panel: &Vocabulary) -> Vec<f32> {
        self.reconstructed(genes, panel)
    }
}

/// A fitted [`ExpressionModel`] with the statistics of its fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpressionFit {
    /// The line.
    #[serde(flatten)]
    pub model: ExpressionModel,
    /// `1 - Σ (y - ŷ)² / Σ (y - ȳ)²` over all points.
    pub r_squared: f64,
    /// Pearson's correlation of predicted with measured expression over all points.
    pub pearson: f64,
    /// Spearman's correlation of predicted with measured expression over all points.
    pub spearman: f64,
    /// Cells with at least one expressed gene.
    pub n_cells: usize,
    /// Points, one for each expressed gene of each cell.
    pub n_points: usize,
}

/// How far expression is from a model at some ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualSpread {
    /// The first rank, counted from 0.
    pub first_rank: usize,
    /// The last rank.
    pub last_rank: usize,
    /// Points at these ranks.
    pub n_points: usize,
    /// Mean of measured minus predicted expression.
    pub mean: f64,
    /// Standard deviation of the same, divisor `n`.
    pub standard_deviation: f64,
}

/// An error of fitting expression to rank.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ExpressionFitError {
    /// Expression is a number of zero or more.
    #[error("expression value {value} at index {index} is not a number of zero or more")]
    InvalidValue {
        /// Position among the values of the cell.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Every gene index has its value.
    #[error("{genes} gene indices and {values} values cannot be paired")]
    LengthMismatch {
        /// Gene indices given.
        genes: usize,
        /// Values given.
        values: usize,
    },
    /// A gene index lies beyond the panel.
    #[error("there is a value for gene {index}, but the panel has {genes} genes")]
    UnknownGene {
        /// The index.
        index: u32,
        /// Genes of the panel.
        genes: usize,
    },
    /// A line takes points at two ranks with two values at least.
    #[error("{n_points} points with {n_ranks} ranks do not determine a line")]
    Undetermined {
        /// Points at hand.
        n_points: usize,
        /// Different ranks among them.
        n_ranks: usize,
    },
}

/// Collects the cells that an [`ExpressionModel`] is fitted to.
///
/// The expressed genes of a cell are sorted, highest first, and every one is a point (rank, value). Equal values take
/// successive ranks; which of two equal genes comes first makes no difference, because the points are the same. The
/// fit is ordinary least squares over the points with `log10(1 + rank) < 3`; the statistics are over all points.
///
/// Sixteen bytes are kept for each point: some 16 MB for the published sample of 10,000 cells of 100 genes.
///
/// ```
/// use tn_eval::ExpressionFitter;
///
/// let mut fitter = ExpressionFitter::new().with_max_genes(100);
/// for cell in [[2.0, 0.0, 1.0, 1.5], [0.0, 2.1, 1.4, 1.1]] {
///     fitter.add(cell)?;
/// }
/// let fit = fitter.fit()?;
/// assert!(fit.model.slope < 0.0 && fit.r_squared > 0.95);
/// # Ok::<(), tn_eval::ExpressionFitError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExpressionFitter {
    max_genes: usize,
    n_cells: usize,
    log_ranks: Vec<f64>,
    values: Vec<f64>,
}

impl Default for ExpressionFitter {
    fn default() -> Self {
        Self::new()
    }
}

impl ExpressionFitter {
    /// Creates a fitter without cells that takes all expressed genes of each.
    #[must_use]
    pub fn new() -> Self {
        Self { max_genes: usize::MAX, n_cells: 0, log_ranks: Vec::new(), values: Vec::new() }
    }

    /// Takes the `max_genes` highest genes of each cell only; the published fits take 100.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }

    /// Adds the expression values of one cell, in any order; zeros may be left out.
    ///
    /// # Errors
    ///
    /// A negative, NaN or infinite value is an error, and the cell is not added.
    pub fn add(&mut self, values: impl IntoIterator<Item = f64>) -> Result<(), ExpressionFitError> {
        let mut expressed = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            if !value.is_finite() || value < 0.0 {
                return Err(ExpressionFitError::InvalidValue { index, value });
            }
            if value > 0.0 {
                expressed.push(value);
            }
        }
        expressed.sort_by(|a, b| b.total_cmp(a));
        expressed.truncate(self.max_genes);
        self.n_cells += usize::from(!expressed.is_empty());
        for (rank, value) in expressed.into_iter().enumerate() {
            self.log_ranks.push((1.0 + rank as f64).log10());
            self.values.push(value);
        }
        Ok(())
    }

    /// Fits the line.
    ///
    /// # Errors
    ///
    /// Returns [`ExpressionFitError::Undetermined`] when all points share a rank or a value, or there are none.
    pub fn fit(&self) -> Result<ExpressionFit, ExpressionFitError> {
        let model = self.least_squares().ok_or_else(|| self.undetermined())?;
        let predicted: Vec<f64> = self.log_ranks.iter().map(|log_rank| model.intercept + model.slope * log_rank).collect();
        let mean = mean(&self.values);
        let residual: f64 = sum_of_squares(self.values.iter().zip(&predicted).map(|(y, p)| y - p));
        let total: f64 = sum_of_squares(self.values.iter().map(|y| y - mean));
        let undetermined = |_| self.undetermined();
        Ok(ExpressionFit {
            model,
            r_squared: 1.0 - residual / total,
            pearson: pearson(&self.values, &predicted).map_err(undetermined)?.coefficient,
            spearman: spearman(&self.values, &predicted).map_err(undetermined)?.coefficient,
            n_cells: self.n_cells,
            n_points: self.values.len(),
        })
    }

    /// Returns how far the points are from a model, by ranks that double: 0, 1 and 2, 3 to 6, 7 to 14 and so on.
    #[must_use]
    pub fn residual_spread(&self, model: ExpressionModel) -> Vec<ResidualSpread> {
        let mut sums: Vec<(usize, f64, f64)> = Vec::new();
        for (log_rank, value) in self.log_ranks.iter().zip(&self.values) {
            // One more than the rank, whose powers of two begin a bin.
            let place = 10_f64.powf(*log_rank).round() as usize;
            let bin = place.ilog2() as usize;
            if sums.len() <= bin {
                sums.resize(bin + 1, (0, 0.0, 0.0));
            }
            let residual = value - (model.intercept + model.slope * log_rank);
            let (n, sum, squares) = sums[bin];
            sums[bin] = (n + 1, sum + residual, squares + residual * residual);
        }
        let spread = |(bin, (n_points, sum, squares)): (usize, (usize, f64, f64))| {
            let mean = sum / n_points as f64;
            let standard_deviation = (squares / n_points as f64 - mean * mean).max(0.0).sqrt();
            ResidualSpread { first_rank: (1 << bin) - 1, last_rank: (2 << bin) - 2, n_points, mean, standard_deviation }
        };
        sums.into_iter().enumerate().filter(|(_, (n, ..))| *n > 0).map(spread).collect()
    }

    fn least_squares(&self) -> Option<ExpressionModel> {
        let fitted = || self.log_ranks.iter().zip(&self.values).filter(|(log_rank, _)| **log_rank < MAX_FITTED_LOG_RANK);
        let n = fitted().count() as f64;
        let mean_x = fitted().map(|(x, _)| x).sum::<f64>() / n;
        let mean_y = fitted().map(|(_, y)| y).sum::<f64>() / n;
        let xx = sum_of_squares(fitted().map(|(x, _)| x - mean_x));
        let xy: f64 = fitted().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        // Also false when there are no points and xx is 0.
        (xx > 0.0).then(|| {
            let slope = xy / xx;
            ExpressionModel::new(mean_y - slope * mean_x, slope)
        })
    }

    fn undetermined(&self) -> ExpressionFitError {
        let mut ranks = self.log_ranks.clone();
        ranks.sort_by(f64::total_cmp);
        ranks.dedup();
        ExpressionFitError::Undetermined { n_points: self.values.len(), n_ranks: ranks.len() }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn sum_of_squares(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let planted = ExpressionModel::new(2.0, -0.5);
        let mut fitter = ExpressionFitter::new();
        for length in [5, 40, 12] {
            fitter.add((0..length).map(|rank| planted.at_rank(rank))).unwrap();
        }
        let fit = fitter.fit().unwrap();
        assert!((fit.model.intercept - 2.0).abs() < 1e-12);
        assert!((fit.model.slope + 0.5).abs() < 1e-12);
        assert!((fit.r_squared - 1.0).abs() < 1e-12);
        assert_eq!((fit.n_cells, fit.n_points), (3, 57));
    }

    #[test]
    fn residuals_are_spread_by_ranks_that_double() {
        let line = ExpressionModel::new(2.0, -0.5);
        let mut fitter = ExpressionFitter::new();
        fitter.add((0..7).map(|rank| line.at_rank(rank) + 0.25)).unwrap();
        fitter.add((0..3).map(|rank| line.at_rank(rank) - 0.25)).unwrap();
        let spread = fitter.residual_spread(line);
        let ranks: Vec<_> = spread.iter().map(|bin| (bin.first_rank, bin.last_rank, bin.n_points)).collect();
        assert_eq!(ranks, [(0, 0, 2), (1, 2, 4), (3, 6, 4)]);
        assert!(spread[0].mean.abs() < 1e-12 && (spread[0].standard_deviation - 0.25).abs() < 1e-12);
        assert!((spread[2].mean - 0.25).abs() < 1e-12 && spread[2].standard_deviation < 1e-6);
    }

    #[test]
    fn genes_beyond_the_cut_are_not_points() {
        let mut fitter = ExpressionFitter::new().with_max_genes(2);
        fitter.add([1.0, 3.0, 2.0, 0.0]).unwrap();
        assert_eq!(fitter.fit().unwrap().n_points, 2);
    }

    #[test]
    fn invalid_values_leave_the_fitter_as_it_was() {
        let mut fitter = ExpressionFitter::new();
        let error = fitter.add([1.0, -0.5]).unwrap_err();
        assert_eq!(error, ExpressionFitError::InvalidValue { index: 1, value: -0.5 });
        assert!(fitter.add([f64::NAN]).is_err());
        assert!(fitter.values.is_empty());
    }

    #[test]
    fn too_few_points_are_an_error() {
        let mut fitter = ExpressionFitter::new();
        let check = |fitter: &ExpressionFitter, n_points, n_ranks| {
            assert_eq!(fitter.fit(), Err(ExpressionFitError::Undetermined { n_points, n_ranks }));
        };
        check(&fitter, 0, 0);
        fitter.add([1.0]).unwrap();
        check(&fitter, 1, 1);
        fitter.add([1.0, 1.0]).unwrap();
        check(&fitter, 3, 2); // one value throughout
    }
}
