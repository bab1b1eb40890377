//! Do neighboring cells have similar expression?

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc;
use thiserror::Error;
use tn_sentence::draw;

use super::SpatialWeights;
use super::gene_moments::mean_and_squares;
use crate::{ExpressionMatrix, GeneColumns};

/// Moran's I of genes over a section.
///
/// `I = n / S0 · Σ w_ij (x_i - x̄)(x_j - x̄) / Σ (x_i - x̄)²` (Moran, Biometrika 37, 17 (1950)): near 1 where neighbors have
/// similar expression, `-1 / (n - 1)` on average where places do not matter, below where neighbors differ. Equals
/// `scanpy.metrics.morans_i`.
///
/// The z-score and the two-sided p-value assume normal values (Cliff and Ord, Spatial Processes, 1981):
/// `var I = (n² S1 - n S2 + 3 S0²) / ((n² - 1) S0²) - 1 / (n - 1)²`, with `S1 = Σ (w_ij + w_ji)² / 2` and
/// `S2 = Σ (w_i. + w_.i)²`. They equal those of `squidpy.gr.spatial_autocorr` with `two_tailed=True`; its default is half of this
/// p-value. Sparse genes are far from normal: permutations, in which cells change places, assume nothing. Their p-value,
/// two-sided, is `(1 + permutations at least as far from -1 / (n - 1)) / (1 + permutations)`.
///
/// A gene that is equal in all cells has no I. Work goes with the neighbors of the cells that express a gene, for each
/// permutation again; the places of the cells are kept, four bytes for each cell and permutation.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::{MoransI, SpatialWeights};
///
/// // Cells in a row: the OEC marker NPY on the left side, GAD1 in every other cell.
/// let mut cells = ExpressionMatrix::new(["NPY", "GAD1", "ACTB"])?;
/// for cell in 0..20 {
///     cells.push_dense(&[if cell < 10 { 2.0 } else { 0.0 }, (cell % 2) as f32, 3.0])?;
/// }
/// let lists = (0..20_u32).map(|cell| (0..20).filter(|other| cell.abs_diff(*other) == 1).collect::<Vec<_>>());
/// let weights = SpatialWeights::binary(lists)?.row_standardized();
/// let genes = MoransI::new(&weights).of(&cells)?;
/// assert!(genes[0].morans_i.unwrap() > 0.8 && genes[0].p_value.unwrap() < 1e-4);
/// assert!(genes[1].morans_i.unwrap() < -0.8);
/// assert_eq!(genes[2].morans_i, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MoransI<'a> {
    weights: &'a SpatialWeights,
    permutations: usize,
    seed: u64,
}

/// The spatial autocorrelation of one gene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneAutocorrelation {
    /// The gene.
    pub gene: String,
    /// Moran's I; `None` for a gene that is equal in all cells.
    pub morans_i: Option<f64>,
    /// `(I + 1 / (n - 1)) / √var I`; `None` without I, and where every cell is every other's neighbor, so that I cannot vary.
    pub z_score: Option<f64>,
    /// The two-sided p-value of the z-score.
    pub p_value: Option<f64>,
    /// The two-sided p-value of the permutations; `None` without I or permutations.
    pub permutation_p_value: Option<f64>,
}

/// An error of [`MoransI::of`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MoransIError {
    /// Every cell has its row of weights.
    #[error("{cells} cells and the weights of {weights} cells cannot be paired")]
    CellMismatch {
        /// Cells with expression.
        cells: usize,
        /// Cells with weights.
        weights: usize,
    },
    /// With two cells I is always -1.
    #[error("Moran's I takes at least 3 cells, there are {cells}")]
    TooFewCells {
        /// Cells given.
        cells: usize,
    },
}

impl<'a> MoransI<'a> {
    /// Creates the statistic for a section's weights, without permutations.
    #[must_use]
    pub fn new(weights: &'a SpatialWeights) -> Self {
        Self { weights, permutations: 0, seed: 42 }
    }

    /// Sets the number of permutations.
    #[must_use]
    pub fn with_permutations(mut self, permutations: usize) -> Self {
        self.permutations = permutations;
        self
    }

    /// Sets the seed of the permutations; all genes share them.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns the mean of I where places do not matter, `-1 / (n - 1)`.
    #[must_use]
    pub fn expected(&self) -> f64 {
        -1.0 / (self.weights.n_cells() as f64 - 1.0)
    }

    /// Returns the variance of I for normal values where places do not matter.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let n = self.weights.n_cells() as f64;
        let (s0, s1) = self.weights.sums();
        let s2: f64 = self.weights.row_and_column_sums().iter().map(|sum| sum * sum).sum();
        (n * n * s1 - n * s2 + 3.0 * s0 * s0) / ((n * n - 1.0) * s0 * s0) - self.expected().powi(2)
    }

    /// Computes I of every gene, in the order of the columns.
    ///
    /// # Errors
    ///
    /// Another number of cells than the weights have, and fewer than three cells are errors.
    pub fn of(&self, cells: &ExpressionMatrix) -> Result<Vec<GeneAutocorrelation>, MoransIError> {
        let n = cells.n_cells();
        if n != self.weights.n_cells() {
            return Err(MoransIError::CellMismatch { cells: n, weights: self.weights.n_cells() });
        }
        if n < 3 {
            return Err(MoransIError::TooFewCells { cells: n });
        }
        let field =
            Field { weights: self.weights, s0: self.weights.sums().0, sums: self.weights.row_and_column_sums(), columns: cells.by_gene() };
        let in_place: Vec<u32> = (0..n as u32).collect();
        let places: Vec<Vec<u32>> = (0..self.permutations as u64)
            .into_par_iter()
            .map(|permutation| {
                let mut places = in_place.clone();
                places.shuffle(&mut ChaCha8Rng::seed_from_u64(draw(self.seed, permutation)));
                places
            })
            .collect();
        let (expected, variance) = (self.expected(), self.variance());
        let of_gene = |values: &mut Vec<f64>, index: usize| {
            let gene = cells.genes()[index].clone();
            let moments = mean_and_squares(&field.columns, index);
            if moments.1 == 0.0 {
                return GeneAutocorrelation { gene, morans_i: None, z_score: None, p_value: None, permutation_p_value: None };
            }
            let morans_i = field.morans_i(index, moments, &in_place, values);
            // A complete graph leaves I no freedom, up to rounding.
            let z_score = (variance > 1e-12 * expected * expected).then(|| (morans_i - expected) / variance.sqrt());
            let distance = (morans_i - expected).abs();
            let mut reached = |places: &[u32]| (field.morans_i(index, moments, places, values) - expected).abs() >= distance - 1e-12;
            let reached = places.iter().filter(|places| reached(places)).count();
            GeneAutocorrelation {
                gene,
                morans_i: Some(morans_i),
                z_score,
                p_value: z_score.map(|z| erfc(z.abs() / std::f64::consts::SQRT_2)),
                permutation_p_value: (!places.is_empty()).then(|| (1 + reached) as f64 / (1 + places.len()) as f64),
            }
        };
        Ok((0..cells.n_genes()).into_par_iter().map_init(|| vec![0.0; n], of_gene).collect())
    }
}

/// Genes over cells at places that have weights.
struct Field<'a> {
    weights: &'a SpatialWeights,
    s0: f64,
    /// `w_i. + w_.i`
    sums: Vec<f64>,
    columns: GeneColumns,
}

impl Field<'_> {
    /// Returns I of a gene with its mean and sum of squares, each cell at its place. `values` is 0 everywhere, before and after.
    ///
    /// Only cells that express the gene are visited: `Σ w_ij (x_i - x̄)(x_j - x̄) = Σ w_ij x_i x_j - x̄ Σ x_i (w_i. + w_.i) + x̄² S0`.
    fn morans_i(&self, gene: usize, (mean, squares): (f64, f64), places: &[u32], values: &mut [f64]) -> f64 {
        let (cells, expression) = self.columns.gene(gene);
        let expressed = || cells.iter().zip(expression).map(|(&cell, &value)| (places[cell as usize] as usize, f64::from(value)));
        expressed().for_each(|(place, value)| values[place] = value);
        let (mut products, mut weighted) = (0.0, 0.0);
        for (place, value) in expressed() {
            let (neighbors, weights) = self.weights.of(place);
            let near: f64 = neighbors.iter().zip(weights).map(|(&neighbor, weight)| weight * values[neighbor as usize]).sum();
            products += value * near;
            weighted += value * self.sums[place];
        }
        expressed().for_each(|(place, _)| values[place] = 0.0);
        let covariance = products - mean * weighted + mean * mean * self.s0;
        self.columns.n_cells() as f64 / self.s0 * covariance / squares
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// One-way neighbors, a cell without any, negative values, an absent and a constant gene.
    fn section(seed: u64) -> (ExpressionMatrix, SpatialWeights) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut cells = ExpressionMatrix::new(["A", "B", "C", "D"]).unwrap();
        let mut rows = Vec::new();
        for cell in 0..30_u32 {
            let sparse = if rng.random_bool(0.3) { rng.random_range(0.0..3.0) } else { 0.0 };
            cells.push_dense(&[sparse, rng.random_range(-1.0..2.0) + cell as f32 / 10.0, 0.0, 0.7]).unwrap();
            let near: Vec<(u32, f64)> = (0..30).filter(|&other| other != cell && rng.random_bool(0.1)).map(|other| (other, 0.5)).collect();
            rows.push(if cell == 4 { vec![] } else { near });
        }
        (cells, SpatialWeights::new(rows).unwrap())
    }

    fn by_definition(values: &[f64], weights: &SpatialWeights) -> f64 {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let (mut covariance, mut s0) = (0.0, 0.0);
        for i in 0..n {
            let (neighbors, row) = weights.of(i);
            for (&j, weight) in neighbors.iter().zip(row) {
                covariance += weight * (values[i] - mean) * (values[j as usize] - mean);
                s0 += weight;
            }
        }
        n as f64 / s0 * covariance / values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    }

    fn column(cells: &ExpressionMatrix, gene: usize) -> Vec<f64> {
        let mut values = vec![0.0; cells.n_cells()];
        let columns = cells.by_gene();
        let (expressing, expression) = columns.gene(gene);
        expressing.iter().zip(expression).for_each(|(&cell, &value)| values[cell as usize] = f64::from(value));
        values
    }

    #[test]
    fn sparse_sums_equal_the_definition_at_every_permutation() {
        let (cells, raw) = section(1);
        for weights in [raw.clone(), raw.row_standardized()] {
            let found = MoransI::new(&weights).with_permutations(19).with_seed(3).of(&cells).unwrap();
            for (gene, found) in found[..2].iter().enumerate() {
                let values = column(&cells, gene);
                let observed = by_definition(&values, &weights);
                assert!((found.morans_i.unwrap() - observed).abs() < 1e-12);
                let expected = -1.0 / 29.0;
                let reached = (0..19).filter(|&permutation| {
                    let mut places: Vec<usize> = (0..30).collect();
                    places.shuffle(&mut ChaCha8Rng::seed_from_u64(draw(3, permutation)));
                    let mut moved = vec![0.0; 30];
                    places.iter().zip(&values).for_each(|(&place, &value)| moved[place] = value);
                    (by_definition(&moved, &weights) - expected).abs() >= (observed - expected).abs()
                });
                assert_eq!(found.permutation_p_value, Some((1 + reached.count()) as f64 / 20.0));
            }
        }
    }

    #[test]
    fn a_gene_that_does_not_vary_has_no_i() {
        let (cells, weights) = section(2);
        for gene in &MoransI::new(&weights).with_permutations(3).of(&cells).unwrap()[2..] {
            assert_eq!((gene.morans_i, gene.z_score, gene.p_value, gene.permutation_p_value), (None, None, None, None));
        }
    }

    #[test]
    fn where_all_are_neighbors_i_cannot_vary() {
        let weights = SpatialWeights::binary((0..5_u32).map(|cell| (0..5).filter(|&other| other != cell).collect::<Vec<_>>())).unwrap();
        let mut cells = ExpressionMatrix::new(["A"]).unwrap();
        (0..5).for_each(|cell| cells.push_dense(&[(cell * cell) as f32]).unwrap());
        let found = &MoransI::new(&weights).with_permutations(9).of(&cells).unwrap()[0];
        assert!((found.morans_i.unwrap() + 0.25).abs() < 1e-12);
        assert_eq!((found.z_score, found.p_value, found.permutation_p_value), (None, None, Some(1.0)));
    }

    #[test]
    fn z_scores_of_normal_values_have_their_spread() {
        let (_, weights) = section(3);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut cells = ExpressionMatrix::new((0..2_000).map(|gene| format!("G{gene}"))).unwrap();
        for _ in 0..30 {
            // The sum of twelve uniform numbers is near normal.
            let row: Vec<f32> = (0..2_000).map(|_| (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0).collect();
            cells.push_dense(&row).unwrap();
        }
        let z: Vec<f64> = MoransI::new(&weights).of(&cells).unwrap().iter().map(|gene| gene.z_score.unwrap()).collect();
        let mean = z.iter().sum::<f64>() / 2_000.0;
        let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 1_999.0;
        // Standard errors of 0.022 and 0.032.
        assert!(mean.abs() < 0.09 && (variance - 1.0).abs() < 0.13, "{mean}, {variance}");
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let (cells, weights) = section(5);
        let fewer = cells.select(&[0, 1]);
        assert_eq!(MoransI::new(&weights).of(&fewer), Err(MoransIError::CellMismatch { cells: 2, weights: 30 }));
        let two = SpatialWeights::binary([[1], [0]]).unwrap();
        assert_eq!(MoransI::new(&two).of(&fewer), Err(MoransIError::TooFewCells { cells: 2 }));
    }
}
