//! How well expression is told from ranks.

use serde::{Deserialize, Serialize};

use super::{ExpressionFitError, RankedExpression};
use crate::correlation::{pearson, spearman};

/// How well a model tells the expression of cells that it was not fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpressionQuality {
    /// `1 - Σ (y - ŷ)² / Σ (y - ȳ)²`; below 0 for a model that is worse than the mean.
    pub r_squared: f64,
    /// Pearson's correlation of predicted with measured expression.
    pub pearson: f64,
    /// Spearman's correlation of the same.
    pub spearman: f64,
    /// Root of the mean squared error, on the scale of the expression.
    pub root_mean_square_error: f64,
    /// Expressed genes of all cells.
    pub n_points: usize,
}

/// Compares a model with held-out cells, each the genes that it expresses with their values, in any order.
///
/// A cell is ranked by its values, genes of equal ones in the order given; zeros are left out. Give every model the same cells.
///
/// ```
/// use tn_eval::{ExpressionModel, expression_quality};
///
/// let model = ExpressionModel::new(1.5, -0.5);
/// let cells = [vec![("GFAP", 1.5), ("AQP4", 1.34)], vec![("GAD1", 1.4), ("RELN", 1.2), ("NPY", 1.3)]];
/// let quality = expression_quality(&model, cells)?;
/// assert!(quality.pearson > 0.7 && quality.root_mean_square_error < 0.1);
/// # Ok::<(), tn_eval::ExpressionFitError>(())
/// ```
///
/// # Errors
///
/// Negative, NaN and infinite values are errors, and cells that show fewer than two values or predictions.
pub fn expression_quality<G: AsRef<str>>(
    model: &impl RankedExpression,
    cells: impl IntoIterator<Item = Vec<(G, f64)>>,
) -> Result<ExpressionQuality, ExpressionFitError> {
    let (mut measured, mut predicted, mut n_ranks) = (Vec::new(), Vec::new(), 0);
    for mut cell in cells {
        if let Some((index, (_, value))) = cell.iter().enumerate().find(|(_, (_, value))| !value.is_finite() || *value < 0.0) {
            return Err(ExpressionFitError::InvalidValue { index, value: *value });
        }
        cell.retain(|(_, value)| *value > 0.0);
        cell.sort_by(|a, b| b.1.total_cmp(&a.1));
        n_ranks = n_ranks.max(cell.len());
        for (rank, (gene, value)) in cell.iter().enumerate() {
            measured.push(*value);
            predicted.push(model.expression(rank, gene.as_ref()));
        }
    }
    let undetermined = |_| ExpressionFitError::Undetermined { n_points: measured.len(), n_ranks };
    let (pearson, spearman) = (
        pearson(&measured, &predicted).map_err(undetermined)?.coefficient,
        spearman(&measured, &predicted).map_err(undetermined)?.coefficient,
    );
    let n = measured.len() as f64;
    let mean = measured.iter().sum::<f64>() / n;
    let residual: f64 = measured.iter().zip(&predicted).map(|(y, p)| (y - p).powi(2)).sum();
    let total: f64 = measured.iter().map(|y| (y - mean).powi(2)).sum();
    Ok(ExpressionQuality {
        r_squared: 1.0 - residual / total,
        pearson,
        spearman,
        root_mean_square_error: (residual / n).sqrt(),
        n_points: measured.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExpressionModel;

    #[test]
    fn a_perfect_model_misses_nothing() {
        let model = ExpressionModel::new(2.0, -0.5);
        let cell = |n: usize| (0..n).rev().map(|rank| ("G", model.at_rank(rank))).collect::<Vec<_>>();
        let quality = expression_quality(&model, [cell(4), cell(9)]).unwrap();
        assert_eq!((quality.n_points, quality.root_mean_square_error, quality.r_squared), (13, 0.0, 1.0));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let model = ExpressionModel::MERFISH_BRAIN;
        let error = expression_quality(&model, [vec![("A", 1.0), ("B", f64::NAN)]]).unwrap_err();
        assert!(matches!(error, ExpressionFitError::InvalidValue { index: 1, .. }));
        let none: [Vec<(&str, f64)>; 0] = [];
        assert!(matches!(expression_quality(&model, none), Err(ExpressionFitError::Undetermined { n_points: 0, .. })));
    }
}
