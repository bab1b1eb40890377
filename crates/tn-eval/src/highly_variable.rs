//! Genes that vary more between cells than their mean lets one expect.

mod dispersion;
mod loess;
mod seurat_v3;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::expression_matrix::{ExpressionMatrix, GeneColumns};
use crate::number_or_nan::number_or_nan;

/// An error of choosing [`HighlyVariableGenes`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum HighlyVariableGenesError {
    /// A variance takes two cells.
    #[error("a variance takes at least 2 cells, there are {cells}")]
    TooFewCells {
        /// Cells of the matrix.
        cells: usize,
    },
    /// Too few genes vary for a curve through them.
    #[error("{varying} genes vary, a curve through their variances takes at least {needed}")]
    TooFewGenes {
        /// Genes whose variance is above 0.
        varying: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Neither counts nor their logarithms are below 0.
    #[error("{gene} of cell {cell} is {value}; expression of 0 or more is expected")]
    Negative {
        /// The gene.
        gene: String,
        /// The cell.
        cell: usize,
        /// The value.
        value: f32,
    },
}

/// How much a gene varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneVariability {
    /// The gene.
    pub gene: String,
    /// Mean over the cells.
    pub mean: f64,
    /// Variance over the cells, with the divisor `n - 1`.
    pub variance: f64,
    /// What genes are ranked by: the normalized variance or dispersion. NaN, `null` as JSON, where a dispersion cannot be normalized.
    #[serde(deserialize_with = "number_or_nan")]
    pub variability: f64,
    /// The place in the ranking, 0 for the most variable gene; `None` without a variability.
    pub rank: Option<usize>,
}

/// The genes of a matrix by how much they vary beyond what their mean explains.
///
/// ```
/// use tn_eval::{ExpressionMatrix, HighlyVariableGenes};
///
/// // 20 genes whose counts vary as their mean does, and a marker of every tenth cell.
/// let mut counts = ExpressionMatrix::new((0..20).map(|gene| format!("G{gene}")).chain(["Mbp".to_string()]))?;
/// for cell in 0..100 {
///     let mut cell_counts: Vec<f32> = (0..20).map(|gene| ((cell * (gene + 7)) % 11 * (gene + 1) / 20) as f32).collect();
///     cell_counts.push(if cell % 10 == 0 { 30.0 } else { 0.0 });
///     counts.push_dense(&cell_counts)?;
/// }
/// assert_eq!(HighlyVariableGenes::seurat_v3(&counts)?.top(1), ["Mbp"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HighlyVariableGenes {
    genes: Vec<GeneVariability>,
}

impl HighlyVariableGenes {
    /// Ranks genes by the variance of counts that are standardized by the variance expected at their mean.
    ///
    /// A loess curve (span 0.3, degree 2) of `log10` variance on `log10` mean over the genes that vary gives the expected standard
    /// deviation `σ` of each gene. Counts are cut at `mean + σ √n`, `n` cells, and the variability is `Σ (count - mean)² / ((n - 1) σ²)`; a
    /// gene that does not vary has 0. Equals scanpy's `flavor='seurat_v3'`. Of equal genes the first in the matrix comes first. Stuart et
    /// al., Cell 177, 1888 (2019); the curve is interpolated as by Cleveland and Grosse, Statistics and Computing 1, 47 (1991).
    ///
    /// Where many genes share one mean, so that the curve is not determined, its degree is lowered; scanpy fails there.
    ///
    /// # Errors
    ///
    /// Fewer than two cells, fewer than 14 genes that vary, and a value below 0 are errors.
    pub fn seurat_v3(counts: &ExpressionMatrix) -> Result<Self, HighlyVariableGenesError> {
        let columns = counts.by_gene();
        let moments = measure(counts, &columns)?;
        let variability = seurat_v3::normalized_variances(&columns, &moments)?;
        Ok(Self::new(counts.genes(), &moments, &variability))
    }

    /// Ranks genes by the dispersion of logarithms of expression, compared with genes of similar mean.
    ///
    /// Genes are divided at every twentieth percentile of their means. The variability is `(d - median) / (MAD / 0.6745)` of the
    /// dispersion `d = variance / mean` within its bin, with `MAD` the median distance from the median. Equals scanpy's
    /// `flavor='cell_ranger'`, which also takes genes that equal the last one wanted; here the first in the matrix comes first. Zheng et
    /// al., Nature Communications 8, 14049 (2017).
    ///
    /// Where at least half of a bin's genes have one dispersion, as a gene alone has, it cannot be normalized: these genes have no
    /// rank. Equal percentiles make one bin. Scanpy has infinite or no values in the first case, and fails in the second.
    ///
    /// # Errors
    ///
    /// Fewer than two cells, and a value below 0 are errors.
    pub fn cell_ranger(logarithms: &ExpressionMatrix) -> Result<Self, HighlyVariableGenesError> {
        let moments = measure(logarithms, &logarithms.by_gene())?;
        Ok(Self::new(logarithms.genes(), &moments, &dispersion::normalized_dispersions(&moments)))
    }

    fn new(names: &[String], moments: &[Moments], variability: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..names.len()).filter(|&gene| !variability[gene].is_nan()).collect();
        order.sort_by(|&a, &b| variability[b].total_cmp(&variability[a]));
        let mut ranks = vec![None; names.len()];
        order.into_iter().zip(0..).for_each(|(gene, rank)| ranks[gene] = Some(rank));
        let gene = |(index, moments): (usize, &Moments)| GeneVariability {
            gene: names[index].clone(),
            mean: moments.mean,
            variance: moments.variance,
            variability: variability[index],
            rank: ranks[index],
        };
        Self { genes: moments.iter().enumerate().map(gene).collect() }
    }

    /// Returns every gene, in the order of the matrix.
    #[must_use]
    pub fn genes(&self) -> &[GeneVariability] {
        &self.genes
    }

    /// Returns the names of the `n` most variable genes, or of all that have a rank, the most variable first.
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<&str> {
        let mut ranked: Vec<(usize, &str)> = self.genes.iter().filter_map(|gene| Some((gene.rank?, gene.gene.as_str()))).collect();
        ranked.sort_unstable();
        ranked.into_iter().take(n).map(|(_, gene)| gene).collect()
    }
}

/// The first two moments of a gene over all cells.
#[derive(Clone, Copy, Debug)]
struct Moments {
    mean: f64,
    variance: f64,
}

fn measure(cells: &ExpressionMatrix, columns: &GeneColumns) -> Result<Vec<Moments>, HighlyVariableGenesError> {
    let n = cells.n_cells();
    if n < 2 {
        return Err(HighlyVariableGenesError::TooFewCells { cells: n });
    }
    let moments = |gene: usize| {
        let (indices, values) = columns.gene(gene);
        if let Some(place) = values.iter().position(|&value| value < 0.0) {
            let (gene, cell, value) = (cells.genes()[gene].clone(), indices[place] as usize, values[place]);
            return Err(HighlyVariableGenesError::Negative { gene, cell, value });
        }
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / n as f64;
        let squares = |value: f64| (value - mean).powi(2);
        let zeros = (n - values.len()) as f64 * squares(0.0);
        let variance = (zeros + values.iter().map(|&value| squares(f64::from(value))).sum::<f64>()) / (n as f64 - 1.0);
        Ok(Moments { mean, variance })
    };
    (0..columns.n_genes()).into_par_iter().map(moments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[&[f32]]) -> ExpressionMatrix {
        let mut cells = ExpressionMatrix::new((0..rows.first().map_or(1, |row| row.len())).map(|gene| format!("G{gene}"))).unwrap();
        rows.iter().for_each(|row| cells.push_dense(row).unwrap());
        cells
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let error = HighlyVariableGenes::seurat_v3(&cells(&[&[1.0]])).unwrap_err();
        assert_eq!(error.to_string(), "a variance takes at least 2 cells, there are 1");
        let error = HighlyVariableGenes::seurat_v3(&cells(&[&[1.0, 0.0], &[2.0, 0.0]])).unwrap_err();
        assert_eq!(error.to_string(), "1 genes vary, a curve through their variances takes at least 14");
        let error = HighlyVariableGenes::cell_ranger(&cells(&[&[1.0, 0.0], &[2.0, -1.0]])).unwrap_err();
        assert_eq!(error.to_string(), "G1 of cell 1 is -1; expression of 0 or more is expected");
    }

    #[test]
    fn a_gene_without_variability_has_no_rank_and_survives_as_json() {
        let genes = HighlyVariableGenes::cell_ranger(&cells(&[&[1.0], &[2.0]])).unwrap();
        assert!(genes.genes()[0].variability.is_nan() && genes.top(5).is_empty());
        let again: HighlyVariableGenes = serde_json::from_str(&serde_json::to_string(&genes).unwrap()).unwrap();
        assert!(again.genes()[0].variability.is_nan());
    }

    #[test]
    fn no_genes_have_no_dispersion() {
        let mut none = ExpressionMatrix::new(Vec::<String>::new()).unwrap();
        none.push(&[], &[]).unwrap();
        none.push(&[], &[]).unwrap();
        assert!(HighlyVariableGenes::cell_ranger(&none).unwrap().genes().is_empty());
    }
}
