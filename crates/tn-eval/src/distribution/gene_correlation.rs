//! Which genes go together.

use rayon::prelude::*;

use super::gene_moments::mean_and_squares;
use crate::correlation::average_ranks;
use crate::{ExpressionMatrix, GeneColumns};

/// The correlation of every pair of genes over cells.
///
/// Takes four bytes for the square of the number of genes: 1 MB for 500, 100 MB for 5,000.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::GeneCorrelations;
///
/// let mut cells = ExpressionMatrix::new(["GFAP", "AQP4", "ACTB"])?;
/// cells.push_dense(&[1.0, 2.0, 5.0])?;
/// cells.push_dense(&[0.0, 0.0, 5.0])?;
/// cells.push_dense(&[2.0, 4.0, 5.0])?;
/// let correlations = GeneCorrelations::pearson(&cells);
/// assert!((correlations.between(0, 1).unwrap() - 1.0).abs() < 1e-12);
/// assert_eq!(correlations.between(0, 2), None); // ACTB does not vary
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GeneCorrelations {
    pub(super) varies: Vec<bool>,
    /// For each gene, its coefficients with those behind it.
    pub(super) upper: Vec<Vec<f64>>,
}

impl GeneCorrelations {
    /// Computes Pearson's correlations.
    ///
    /// `r = (Σ xy - n x̄ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²)`, the sum of products over the cells that have both genes, in 64 bits:
    /// absolute errors are about `1e-16 (x̄ / sₓ) (ȳ / sᵧ)`. The work is the sum, over cells, of the squared number of genes
    /// expressed.
    #[must_use]
    pub fn pearson(cells: &ExpressionMatrix) -> Self {
        let columns = cells.by_gene();
        let moments: Vec<(f64, f64)> = (0..columns.n_genes()).map(|gene| mean_and_squares(&columns, gene)).collect();
        let row = |gene: usize| {
            let (mean, squares) = moments[gene];
            let mut row = products(cells, &columns, gene);
            for (product, (other_mean, other_squares)) in row.iter_mut().zip(&moments[gene + 1..]) {
                let covariance = *product - columns.n_cells() as f64 * mean * other_mean;
                *product = (covariance / (squares * other_squares).sqrt()).clamp(-1.0, 1.0);
            }
            row
        };
        Self {
            varies: moments.iter().map(|(_, squares)| *squares > 0.0).collect(),
            upper: (0..columns.n_genes()).into_par_iter().map(row).collect(),
        }
    }

    /// Computes Spearman's correlations: Pearson's of the ranks over cells, where equal values, zeros above all, share the mean
    /// of their ranks.
    #[must_use]
    pub fn spearman(cells: &ExpressionMatrix) -> Self {
        Self::pearson(&ranks_from_zero(cells))
    }

    /// Returns the coefficient of two genes; `None` where one is equal in all cells, or there is none.
    ///
    /// # Panics
    ///
    /// Panics if there is no such gene.
    #[must_use]
    pub fn between(&self, a: usize, b: usize) -> Option<f64> {
        let (first, second) = (a.min(b), a.max(b));
        let defined = self.varies[first] && self.varies[second];
        defined.then(|| if first == second { 1.0 } else { self.upper[first][second - first - 1] })
    }

    /// Returns the number of genes that are equal in all cells.
    #[must_use]
    pub fn n_constant(&self) -> usize {
        self.varies.iter().filter(|&&varies| !varies).count()
    }
}

/// Returns the sums of products of a gene with those behind it.
fn products(cells: &ExpressionMatrix, columns: &GeneColumns, gene: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns.n_genes() - gene - 1];
    let (expressing, values) = columns.gene(gene);
    for (&cell, &value) in expressing.iter().zip(values) {
        let (genes, others) = cells.cell(cell as usize);
        let behind = genes.partition_point(|&other| other as usize <= gene);
        for (&other, &other_value) in genes[behind..].iter().zip(&others[behind..]) {
            sums[other as usize - gene - 1] += f64::from(value) * f64::from(other_value);
        }
    }
    sums
}

/// Replaces values by their rank over cells minus the rank of 0, which leaves zeros out and correlations unchanged.
fn ranks_from_zero(cells: &ExpressionMatrix) -> ExpressionMatrix {
    let columns = cells.by_gene();
    let ranks: Vec<Vec<f32>> = (0..columns.n_genes()).into_par_iter().map(|gene| column_ranks(&columns, gene)).collect();
    let mut ranked = ExpressionMatrix::new(cells.genes()).expect("the genes of a matrix are distinct");
    let mut next = vec![0; columns.n_genes()];
    for cell in 0..cells.n_cells() {
        let (genes, _) = cells.cell(cell);
        let values: Vec<f32> = genes
            .iter()
            .map(|&gene| {
                let place = &mut next[gene as usize];
                *place += 1;
                ranks[gene as usize][*place - 1]
            })
            .collect();
        ranked.push(genes, &values).expect("the genes of a cell are distinct and ranks are finite");
    }
    ranked
}

/// Halves below 2^23 are exact in 32 bits, so that ranks of fewer than eight million cells are.
fn column_ranks(columns: &GeneColumns, gene: usize) -> Vec<f32> {
    let (_, values) = columns.gene(gene);
    let zeros = columns.n_cells() - values.len();
    let negative = values.iter().filter(|&&value| value < 0.0).count();
    let rank_of_zero = if zeros == 0 { 0.0 } else { negative as f64 + (zeros as f64 + 1.0) / 2.0 };
    let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
    let above = |value: f64| if value > 0.0 { zeros as f64 } else { 0.0 };
    average_ranks(&values).iter().zip(&values).map(|(rank, &value)| (rank + above(value) - rank_of_zero) as f32).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::correlation::{pearson, spearman};

    /// Some genes are absent, some constant, some negative, many values are tied.
    pub(in super::super) fn random_cells(seed: u64, n_cells: usize) -> (ExpressionMatrix, Vec<Vec<f64>>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut cells = ExpressionMatrix::new((0..8).map(|gene| format!("G{gene}"))).unwrap();
        let mut columns = vec![Vec::new(); 8];
        for _ in 0..n_cells {
            let mut row: Vec<f32> = (0..8).map(|_| rng.random_range(-2..4) as f32 * 0.7).collect();
            row[2] = 0.0;
            row[5] = 1.3;
            row[6] = row[6].max(0.0) + 0.1;
            row[7] = row[0] + row[7].max(0.0);
            cells.push_dense(&row).unwrap();
            row.iter().zip(&mut columns).for_each(|(&value, column)| column.push(f64::from(value)));
        }
        (cells, columns)
    }

    #[test]
    fn coefficients_equal_those_of_dense_columns() {
        let (cells, columns) = random_cells(1, 40);
        let (by_value, by_rank) = (GeneCorrelations::pearson(&cells), GeneCorrelations::spearman(&cells));
        for a in 0..8 {
            for b in (0..8).filter(|&b| b != a) {
                let check = |actual: Option<f64>, expected: Option<f64>| match (actual, expected) {
                    (Some(actual), Some(expected)) => assert!((actual - expected).abs() < 1e-12, "{a}, {b}: {actual}, {expected}"),
                    (actual, expected) => assert_eq!(actual, expected, "{a}, {b}"),
                };
                check(by_value.between(a, b), pearson(&columns[a], &columns[b]).ok().map(|fit| fit.coefficient));
                check(by_rank.between(a, b), spearman(&columns[a], &columns[b]).ok().map(|fit| fit.coefficient));
            }
        }
        assert_eq!((by_value.n_constant(), by_rank.n_constant()), (2, 2));
        assert_eq!((by_value.between(3, 3), by_value.between(2, 2)), (Some(1.0), None));
    }
}
