//! Mean, variance and detection of each gene, and whether generated cells have those of the observed.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::GeneMismatch;
use crate::correlation::{pearson, spearman};
use crate::{ExpressionMatrix, GeneColumns};

/// The mean, spread and detection of one gene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneMoments {
    /// The gene.
    pub gene: String,
    /// Mean over all cells, those without the gene included.
    pub mean: f64,
    /// Sample variance, divisor `n - 1`.
    pub variance: f64,
    /// Share of the cells in which the gene is other than 0.
    pub detection: f64,
}

/// How well a quantity of the generated cells, one value for each gene, agrees with that of the observed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Pearson's correlation over the genes; `None` where one side is constant.
    pub pearson: Option<f64>,
    /// Spearman's correlation over the genes; `None` where one side is constant.
    pub spearman: Option<f64>,
    /// Mean of generated minus observed. Correlations do not see a common shift; this does.
    pub mean_difference: f64,
}

impl Agreement {
    /// Compares finite values of equal number, at least two.
    pub(super) fn new(generated: &[f64], observed: &[f64]) -> Self {
        let difference: f64 = generated.iter().zip(observed).map(|(generated, observed)| generated - observed).sum();
        Self {
            pearson: pearson(generated, observed).ok().map(|fit| fit.coefficient),
            spearman: spearman(generated, observed).ok().map(|fit| fit.coefficient),
            mean_difference: difference / generated.len() as f64,
        }
    }
}

/// How well the means, variances and detection rates of generated cells agree with the observed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MomentAgreement {
    /// Genes with a mean and a variance above 0 on both sides, so that these have logarithms.
    pub genes: usize,
    /// The other genes: absent or constant on one side, or with a negative mean.
    pub left_out: usize,
    /// Logarithms, base 10, of the means of those genes; their mean difference is that of the logarithms.
    pub log_mean: Agreement,
    /// Logarithms, base 10, of the variances of those genes. A mean difference below 0 is a model that writes typical cells only.
    pub log_variance: Agreement,
    /// Detection rates of all genes.
    pub detection: Agreement,
}

/// An error of [`gene_moments`] and [`moment_agreement`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GeneMomentsError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// A variance takes at least two cells.
    #[error("a variance takes at least 2 cells, there are {cells}")]
    TooFewCells {
        /// Cells given.
        cells: usize,
    },
    /// A correlation takes at least two genes.
    #[error("at least 2 genes have to vary and to have a mean above 0 on both sides, of {n_genes} do {genes}")]
    TooFewGenes {
        /// Genes that can be compared.
        genes: usize,
        /// All genes.
        n_genes: usize,
    },
}

/// Returns the mean, the sample variance and the detection rate of every gene.
///
/// `s² = Σ (x - x̄)² / (n - 1)` in two passes, in 64 bits; exactly 0 for a gene that is equal in all cells.
///
/// # Errors
///
/// Returns [`GeneMomentsError::TooFewCells`] for fewer than two cells.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::gene_moments;
///
/// let mut cells = ExpressionMatrix::new(["GFAP", "GAD1"])?;
/// cells.push(&[0], &[1.0])?;
/// cells.push(&[0], &[3.0])?;
/// let moments = gene_moments(&cells)?;
/// assert_eq!((moments[0].mean, moments[0].variance, moments[0].detection), (2.0, 2.0, 1.0));
/// assert_eq!((moments[1].mean, moments[1].variance, moments[1].detection), (0.0, 0.0, 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gene_moments(cells: &ExpressionMatrix) -> Result<Vec<GeneMoments>, GeneMomentsError> {
    let n = cells.n_cells();
    if n < 2 {
        return Err(GeneMomentsError::TooFewCells { cells: n });
    }
    let columns = cells.by_gene();
    let moments = cells.genes().iter().enumerate().map(|(index, gene)| {
        let (mean, squares) = mean_and_squares(&columns, index);
        let detection = columns.gene(index).0.len() as f64 / n as f64;
        GeneMoments { gene: gene.clone(), mean, variance: squares / (n as f64 - 1.0), detection }
    });
    Ok(moments.collect())
}

/// Compares the mean, variance and detection rate of every gene between generated and observed cells.
///
/// Means and variances are compared as logarithms, because they span orders of magnitude: what is usually drawn as a scatter of
/// simulated against real genes (Crowell et al., Genome Biology 24, 62 (2023)). Expression is on any scale, the same on both
/// sides. A generator that writes the typical cell of a class over and over reaches high correlations of means and ends with a
/// negative [`mean_difference`](Agreement::mean_difference) of the log variances.
///
/// # Errors
///
/// Different genes, fewer than two cells on a side and fewer than two genes that can be compared are errors.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::moment_agreement;
///
/// let genes = ["GFAP", "AQP4", "APOE"];
/// let (mut generated, mut observed) = (ExpressionMatrix::new(genes)?, ExpressionMatrix::new(genes)?);
/// for cell in [-1.0, 0.0, 1.0] {
///     observed.push_dense(&[2.0 + cell, 5.0 - 2.0 * cell, 9.0 + 3.0 * cell])?;
///     // The right mean of every gene, a tenth of its spread.
///     generated.push_dense(&[2.0 + 0.1 * cell, 5.0 - 0.2 * cell, 9.0 + 0.3 * cell])?;
/// }
/// let agreement = moment_agreement(&generated, &observed)?;
/// assert!(agreement.log_mean.pearson.unwrap() > 0.999 && agreement.log_variance.pearson.unwrap() > 0.999);
/// assert!((agreement.log_variance.mean_difference + 2.0).abs() < 1e-5); // variances are a hundredth
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn moment_agreement(generated: &ExpressionMatrix, observed: &ExpressionMatrix) -> Result<MomentAgreement, GeneMomentsError> {
    GeneMismatch::check(generated, observed)?;
    let pairs: Vec<(GeneMoments, GeneMoments)> = gene_moments(generated)?.into_iter().zip(gene_moments(observed)?).collect();
    let compared = |gene: &GeneMoments| gene.mean > 0.0 && gene.variance > 0.0;
    let (kept, left_out): (Vec<_>, Vec<_>) = pairs.iter().partition(|(generated, observed)| compared(generated) && compared(observed));
    if kept.len() < 2 {
        return Err(GeneMomentsError::TooFewGenes { genes: kept.len(), n_genes: pairs.len() });
    }
    let agreement = |pairs: &[&(GeneMoments, GeneMoments)], of: fn(&GeneMoments) -> f64| {
        let (generated, observed): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(generated, observed)| (of(generated), of(observed))).unzip();
        Agreement::new(&generated, &observed)
    };
    Ok(MomentAgreement {
        genes: kept.len(),
        left_out: left_out.len(),
        log_mean: agreement(&kept, |gene| gene.mean.log10()),
        log_variance: agreement(&kept, |gene| gene.variance.log10()),
        detection: agreement(&pairs.iter().collect::<Vec<_>>(), |gene| gene.detection),
    })
}

/// Returns the mean of a gene and the sum of its squared distances from it, exactly 0 where all cells are equal.
pub(super) fn mean_and_squares(columns: &GeneColumns, gene: usize) -> (f64, f64) {
    let (_, values) = columns.gene(gene);
    let zeros = columns.n_cells() - values.len();
    if zeros == 0 && values.iter().all(|&value| value == values[0]) {
        return (values.first().map_or(0.0, |&value| f64::from(value)), 0.0);
    }
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / columns.n_cells() as f64;
    let squares: f64 = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum();
    (mean, squares + zeros as f64 * mean * mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f32]]) -> ExpressionMatrix {
        let mut cells = ExpressionMatrix::new((0..rows[0].len()).map(|gene| format!("G{gene}"))).unwrap();
        rows.iter().for_each(|row| cells.push_dense(row).unwrap());
        cells
    }

    #[test]
    fn a_gene_that_is_equal_in_all_cells_has_no_variance() {
        let moments = gene_moments(&matrix(&[&[0.1, 0.0], &[0.1, 0.0], &[0.1, 0.0]])).unwrap();
        assert_eq!((moments[0].mean, moments[0].variance), (f64::from(0.1_f32), 0.0));
        assert_eq!((moments[1].mean, moments[1].variance, moments[1].detection), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_side_without_spread_is_seen_in_the_difference_and_not_in_the_correlation() {
        let observed = matrix(&[&[1.0, 2.0, 4.0], &[3.0, 6.0, 12.0]]);
        // The same means, a tenth of the distances from them.
        let generated = matrix(&[&[1.9, 3.8, 7.6], &[2.1, 4.2, 8.4]]);
        let agreement = moment_agreement(&generated, &observed).unwrap();
        assert!((agreement.log_variance.pearson.unwrap() - 1.0).abs() < 1e-6);
        assert!((agreement.log_variance.mean_difference + 2.0).abs() < 1e-6);
        assert!(agreement.log_mean.mean_difference.abs() < 1e-6);
        assert_eq!((agreement.detection.pearson, agreement.detection.mean_difference), (None, 0.0));
    }

    #[test]
    fn genes_without_logarithms_are_counted() {
        let observed = matrix(&[&[1.0, 2.0, 0.0, 5.0, -1.0], &[3.0, 5.0, 1.0, 5.0, -2.0]]);
        let agreement = moment_agreement(&observed, &observed).unwrap();
        assert_eq!((agreement.genes, agreement.left_out), (3, 2));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let (one, two) = (matrix(&[&[1.0]]), matrix(&[&[1.0, 2.0], &[2.0, 2.0]]));
        assert_eq!(gene_moments(&one), Err(GeneMomentsError::TooFewCells { cells: 1 }));
        assert!(matches!(moment_agreement(&one, &two), Err(GeneMomentsError::Genes(GeneMismatch { index: 1, .. }))));
        assert_eq!(moment_agreement(&two, &two), Err(GeneMomentsError::TooFewGenes { genes: 1, n_genes: 2 }));
    }
}
