//! Do the same genes go together in generated cells?

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{GeneCorrelations, GeneMismatch};
use crate::ExpressionMatrix;

/// How well the gene-gene correlations of generated cells agree with the observed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrelationAgreement {
    /// Genes that vary on both sides.
    pub genes: usize,
    /// Genes that are equal in all generated cells; left out.
    pub constant_generated: usize,
    /// Genes that are equal in all observed cells; left out.
    pub constant_observed: usize,
    /// Pearson's correlation between the coefficients of all pairs of those genes; `None` where they are all equal on one side.
    pub pearson: Option<f64>,
    /// Mean absolute difference between the coefficients, 0 to 2.
    pub mean_absolute_difference: f64,
}

/// An error of [`CorrelationAgreement`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CorrelationAgreementError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// Three genes have three pairs, two genes only one.
    #[error(
        "at least 3 genes have to vary on both sides, of {n_genes} do {genes}: {constant_generated} are equal in all generated cells, \
         {constant_observed} in all observed"
    )]
    TooFewGenes {
        /// Genes that vary on both sides.
        genes: usize,
        /// All genes.
        n_genes: usize,
        /// Genes that are equal in all generated cells.
        constant_generated: usize,
        /// Genes that are equal in all observed cells.
        constant_observed: usize,
    },
}

impl CorrelationAgreement {
    /// Compares Pearson's correlations of genes over the generated cells with those over the observed.
    ///
    /// Two numbers over all pairs of genes that vary on both sides, the off-diagonal entries of the two matrices: their
    /// correlation, and their mean absolute difference. The first asks whether the same genes go together, the second whether
    /// they do so as strongly. A generator that writes each gene for itself can match every ranking and fails here.
    ///
    /// # Errors
    ///
    /// Different genes and fewer than three genes that vary on both sides (also: fewer than two cells) are errors.
    ///
    /// ```
    /// use tn_eval::ExpressionMatrix;
    /// use tn_eval::distribution::CorrelationAgreement;
    ///
    /// // GFAP and AQP4 mark the same cells, GAD1 the others; the generated cells mix GFAP with GAD1.
    /// let genes = ["GFAP", "AQP4", "GAD1"];
    /// let (mut generated, mut observed) = (ExpressionMatrix::new(genes)?, ExpressionMatrix::new(genes)?);
    /// for cell in [[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 2.0]] {
    ///     observed.push_dense(&cell)?;
    ///     generated.push_dense(&[cell[0], cell[2], cell[1]])?;
    /// }
    /// assert_eq!(CorrelationAgreement::pearson(&observed, &observed)?.mean_absolute_difference, 0.0);
    /// assert!(CorrelationAgreement::pearson(&generated, &observed)?.pearson.unwrap() < 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pearson(generated: &ExpressionMatrix, observed: &ExpressionMatrix) -> Result<Self, CorrelationAgreementError> {
        GeneMismatch::check(generated, observed)?;
        Self::of(&GeneCorrelations::pearson(generated), &GeneCorrelations::pearson(observed))
    }

    /// Compares Spearman's correlations, otherwise as [`CorrelationAgreement::pearson`].
    ///
    /// # Errors
    ///
    /// As [`CorrelationAgreement::pearson`].
    pub fn spearman(generated: &ExpressionMatrix, observed: &ExpressionMatrix) -> Result<Self, CorrelationAgreementError> {
        GeneMismatch::check(generated, observed)?;
        Self::of(&GeneCorrelations::spearman(generated), &GeneCorrelations::spearman(observed))
    }

    fn of(generated: &GeneCorrelations, observed: &GeneCorrelations) -> Result<Self, CorrelationAgreementError> {
        let n_genes = generated.varies.len();
        let kept: Vec<usize> = (0..n_genes).filter(|&gene| generated.varies[gene] && observed.varies[gene]).collect();
        let (constant_generated, constant_observed) = (generated.n_constant(), observed.n_constant());
        if kept.len() < 3 {
            let genes = kept.len();
            return Err(CorrelationAgreementError::TooFewGenes { genes, n_genes, constant_generated, constant_observed });
        }
        let pairs = || {
            kept.iter().enumerate().flat_map(|(place, &a)| {
                let behind = kept[place + 1..].iter().map(move |&b| b - a - 1);
                behind.map(move |place| (generated.upper[a][place], observed.upper[a][place]))
            })
        };
        let n = (kept.len() * (kept.len() - 1) / 2) as f64;
        let (sum_x, sum_y, differences) =
            pairs().fold((0.0, 0.0, 0.0), |(x_sum, y_sum, sum), (x, y)| (x_sum + x, y_sum + y, sum + f64::abs(x - y)));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (xx, yy, xy) = pairs()
            .map(|(x, y)| (x - mean_x, y - mean_y))
            .fold((0.0, 0.0, 0.0), |(xx, yy, xy), (x, y)| (xx + x * x, yy + y * y, xy + x * y));
        Ok(Self {
            genes: kept.len(),
            constant_generated,
            constant_observed,
            pearson: (xx > 0.0 && yy > 0.0).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0)),
            mean_absolute_difference: differences / n,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gene_correlation::tests::random_cells;
    use super::*;
    use crate::correlation::pearson;

    #[test]
    fn agreement_equals_that_of_the_listed_coefficients() {
        let (generated, observed) = (random_cells(2, 30).0, random_cells(3, 50).0);
        let agreement = CorrelationAgreement::spearman(&generated, &observed).unwrap();
        let (left, right) = (GeneCorrelations::spearman(&generated), GeneCorrelations::spearman(&observed));
        let pairs = (0..8).flat_map(|a| (a + 1..8).map(move |b| (a, b)));
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.filter_map(|(a, b)| left.between(a, b).zip(right.between(a, b))).unzip();
        assert_eq!((x.len(), agreement.genes, agreement.constant_generated, agreement.constant_observed), (15, 6, 2, 2));
        assert!((agreement.pearson.unwrap() - pearson(&x, &y).unwrap().coefficient).abs() < 1e-12);
        let difference = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).sum::<f64>() / 15.0;
        assert!((agreement.mean_absolute_difference - difference).abs() < 1e-12);
    }

    #[test]
    fn cells_agree_with_themselves() {
        let cells = random_cells(4, 30).0;
        let agreement = CorrelationAgreement::pearson(&cells, &cells).unwrap();
        assert!((agreement.pearson.unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(agreement.mean_absolute_difference, 0.0);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let (cells, _) = random_cells(5, 1);
        let error = CorrelationAgreement::pearson(&cells, &cells).unwrap_err();
        let expected = CorrelationAgreementError::TooFewGenes { genes: 0, n_genes: 8, constant_generated: 8, constant_observed: 8 };
        assert_eq!(error, expected);
        let other = ExpressionMatrix::new(["G0"]).unwrap();
        assert!(matches!(CorrelationAgreement::spearman(&cells, &other), Err(CorrelationAgreementError::Genes(_))));
    }
}
