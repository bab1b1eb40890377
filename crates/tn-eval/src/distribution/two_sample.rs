//! Energy distance and maximum mean discrepancy between generated and observed cells, with permutation tests.

mod bandwidth;
mod pair_sums;
mod pairs;
mod statistic;

pub use statistic::TwoSampleStatistic;

use bandwidth::median_distance;
use pair_sums::PairSums;
use pairs::{PairedRows, Row};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tn_sentence::request_seed;

use super::subsample::subsample;
use super::{GeneMismatch, LabeledCells};
use crate::ExpressionMatrix;

/// Are two samples of cells from one distribution?
///
/// Two distances between samples that see more than means: spread, and which genes go together.
///
/// - **Energy distance** (Székely and Rizzo, Journal of Statistical Planning and Inference 143, 1249 (2013)):
///   `2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖` with Euclidean distances, in units of expression.
/// - **Maximum mean discrepancy**, squared (Gretton et al., Journal of Machine Learning Research 13, 723 (2012)):
///   `E k(X, X') + E k(Y, Y') - 2 E k(X, Y)` with the Gaussian kernel `k(x, y) = exp(-‖x - y‖² / 2σ²)`. By default σ is the
///   median of the distances other than 0 between cells of both samples, as that paper suggests: of all if there are no more
///   than 1,000, else of 1,000 drawn by the seed; 1 where these are all equal.
///
/// Both come in two forms. The **biased** one (V-statistic) averages over all pairs, a cell with itself included: it is never
/// negative, and 0 for a sample compared with itself. The **unbiased** one (U-statistic) leaves a cell with itself out: it is 0
/// on average for samples from one distribution, and so may be negative; it is the one to compare between classes of different
/// size.
///
/// The p-value is that of a permutation test on the biased form: `(1 + permutations that reach the distance) / (1 +
/// permutations)`, cells of both samples changing places (Phipson and Smyth, 2010). It is never 0, and with many cells even a
/// difference of no interest is significant: read the distance, and compare it with that between two observed sections.
///
/// All in 64 bits from sparse rows. Distances are held for eight cells at a time and thread, never for all pairs: memory is about a
/// kilobyte for each cell, and four bytes for each cell of the smaller side and permutation. Time goes with the square of the cells,
/// and, if there are any, the permutations; from a larger sample, [`max_cells`](Self::with_max_cells) cells are drawn by the seed.
/// Same seed, same bytes, on any number of threads.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::TwoSampleTest;
///
/// // Measured astrocytes differ in how much GFAP they have; the model writes the mean of them every time.
/// let (mut generated, mut observed) = (ExpressionMatrix::new(["GFAP", "AQP4"])?, ExpressionMatrix::new(["GFAP", "AQP4"])?);
/// for cell in 0..30 {
///     generated.push_dense(&[1.45, 1.0])?;
///     observed.push_dense(&[0.1 * cell as f32, 1.0])?;
/// }
/// let test = TwoSampleTest::new().with_permutations(99).with_seed(7);
/// let distances = test.compare(&generated, &observed)?;
/// assert!(distances.energy.biased > 0.3);
/// assert_eq!(distances.energy.p_value, Some(0.01)); // none of 99 permutations reaches it
/// assert_eq!(test.compare(&observed, &observed)?.energy.p_value, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TwoSampleTest {
    permutations: usize,
    seed: u64,
    max_cells: usize,
    min_cells: usize,
    bandwidth: Option<f64>,
}

/// How far two samples of cells are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleDistances {
    /// Generated cells that were compared.
    pub generated_cells: usize,
    /// Observed cells that were compared.
    pub observed_cells: usize,
    /// The energy distance.
    pub energy: TwoSampleStatistic,
    /// The biased energy distance as a share of its first term, `2 E‖X - Y‖`: 0 for equal samples, 1 for two different constants.
    pub energy_coefficient: f64,
    /// The squared maximum mean discrepancy.
    pub mmd: TwoSampleStatistic,
    /// The σ of its kernel.
    pub bandwidth: f64,
}

/// The distances of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassDistances {
    /// The class.
    pub class: String,
    /// Its generated cells.
    pub generated_cells: usize,
    /// Its observed cells.
    pub observed_cells: usize,
    /// How far they are apart; `None` where one side has too few.
    pub distances: Option<SampleDistances>,
}

/// An error of a [`TwoSampleTest`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TwoSampleError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// Distances within a sample need two cells.
    #[error("each side needs at least 2 cells, there are {generated} generated and {observed} observed")]
    TooFewCells {
        /// Generated cells.
        generated: usize,
        /// Observed cells.
        observed: usize,
    },
    /// A bandwidth is a length.
    #[error("the bandwidth is {0}; it must be above 0 and finite")]
    InvalidBandwidth(f64),
}

impl Default for TwoSampleTest {
    fn default() -> Self {
        Self { permutations: 999, seed: 42, max_cells: Self::DEFAULT_MAX_CELLS, min_cells: Self::DEFAULT_MIN_CELLS, bandwidth: None }
    }
}

impl TwoSampleTest {
    /// Cells of a side that are compared, by default.
    pub const DEFAULT_MAX_CELLS: usize = 2_000;
    /// Cells of a side from which on a class is compared, by default.
    pub const DEFAULT_MIN_CELLS: usize = 10;

    /// Creates a test with 999 permutations, seed 42, at most 2,000 cells a side and the median bandwidth.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of permutations; 0 gives distances without p-values.
    #[must_use]
    pub fn with_permutations(mut self, permutations: usize) -> Self {
        self.permutations = permutations;
        self
    }

    /// Sets the seed of the permutations and of the cells that are drawn.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many cells of a side, and of a class, are compared at most, at least 2; [`usize::MAX`] for all.
    #[must_use]
    pub fn with_max_cells(mut self, max_cells: usize) -> Self {
        self.max_cells = max_cells.max(2);
        self
    }

    /// Sets how many cells a class needs on both sides to be compared, at least 2.
    #[must_use]
    pub fn with_min_cells(mut self, min_cells: usize) -> Self {
        self.min_cells = min_cells.max(2);
        self
    }

    /// Sets the σ of the kernel, in units of expression.
    ///
    /// # Errors
    ///
    /// Returns [`TwoSampleError::InvalidBandwidth`] unless it is above 0 and finite.
    pub fn with_bandwidth(mut self, bandwidth: f64) -> Result<Self, TwoSampleError> {
        if !(bandwidth > 0.0 && bandwidth.is_finite()) {
            return Err(TwoSampleError::InvalidBandwidth(bandwidth));
        }
        self.bandwidth = Some(bandwidth);
        Ok(self)
    }

    /// Compares all cells.
    ///
    /// # Errors
    ///
    /// Different genes and fewer than two cells on a side are errors.
    pub fn compare(&self, generated: &ExpressionMatrix, observed: &ExpressionMatrix) -> Result<SampleDistances, TwoSampleError> {
        GeneMismatch::check(generated, observed)?;
        let (n, m) = (generated.n_cells(), observed.n_cells());
        if n.min(m) < 2 {
            return Err(TwoSampleError::TooFewCells { generated: n, observed: m });
        }
        let all = |n: usize| (0..n).collect::<Vec<_>>();
        Ok(self.compare_cells(generated, &all(n), observed, &all(m), ""))
    }

    /// Compares the cells of each class that occurs on either side, in alphabetical order.
    ///
    /// A class with fewer than [`min_cells`](Self::with_min_cells) on a side, 10 by default, is listed without distances. What is
    /// drawn for a class depends on the seed and its name only. Each class has its own median bandwidth.
    ///
    /// # Errors
    ///
    /// Different genes are an error.
    pub fn compare_by_class(&self, generated: &LabeledCells, observed: &LabeledCells) -> Result<Vec<ClassDistances>, GeneMismatch> {
        GeneMismatch::check(generated.matrix(), observed.matrix())?;
        let classes = generated.paired_classes(observed).map(|(class, written, measured)| {
            let enough = written.len().min(measured.len()) >= self.min_cells;
            ClassDistances {
                class: class.to_owned(),
                generated_cells: written.len(),
                observed_cells: measured.len(),
                distances: enough.then(|| self.compare_cells(generated.matrix(), written, observed.matrix(), measured, class)),
            }
        });
        Ok(classes.collect())
    }

    /// Compares at least two cells of each side.
    fn compare_cells(
        &self,
        generated: &ExpressionMatrix,
        generated_cells: &[usize],
        observed: &ExpressionMatrix,
        observed_cells: &[usize],
        class: &str,
    ) -> SampleDistances {
        let seed = |stream: u32| request_seed(self.seed, class, stream);
        let drawn = |cells: &[usize], seed: u64| -> Vec<usize> {
            subsample(cells.len(), self.max_cells, seed).into_iter().map(|place| cells[place]).collect()
        };
        let (generated_cells, observed_cells) = (drawn(generated_cells, seed(0)), drawn(observed_cells, seed(1)));
        let (n, m) = (generated_cells.len(), observed_cells.len());
        let first = generated_cells.iter().map(|&cell| generated.cell(cell));
        let rows: Vec<Row> = first.chain(observed_cells.iter().map(|&cell| observed.cell(cell))).collect();
        let bandwidth = self.bandwidth.unwrap_or_else(|| median_distance(&rows, generated.n_genes(), seed(2)));
        let rows = PairedRows::new(rows, generated.n_genes());
        let sums = PairSums::new(&rows, n, bandwidth, self.permutations, seed(3));
        // The energy distance is the discrepancy of the kernel -‖x - y‖ (Sejdinovic et al., 2013).
        let energy = TwoSampleStatistic::new(&sums.distance, n, m, 0.0, -1.0);
        let twice_between = 2.0 * sums.distance[0].between / (n as f64 * m as f64);
        SampleDistances {
            generated_cells: n,
            observed_cells: m,
            energy,
            energy_coefficient: if twice_between > 0.0 { energy.biased / twice_between } else { 0.0 },
            mmd: TwoSampleStatistic::new(&sums.kernel, n, m, 1.0, 1.0),
            bandwidth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pairs::tests::{cells, distance};
    use super::*;

    /// The mean over all pairs of a cell of `a` and one of `b`, a cell with itself left out or not.
    fn mean(a: &ExpressionMatrix, b: &ExpressionMatrix, without_same: bool, of: impl Fn(f64) -> f64) -> f64 {
        let mut values = Vec::new();
        for i in 0..a.n_cells() {
            for j in (0..b.n_cells()).filter(|&j| !without_same || i != j) {
                values.push(of(distance(a.cell(i), b.cell(j), a.n_genes())));
            }
        }
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn distances_only() -> TwoSampleTest {
        TwoSampleTest::new().with_permutations(0)
    }

    #[test]
    fn both_distances_equal_their_definitions() {
        let (x, y) = (cells(19, 0.0, 1), cells(26, 0.5, 2));
        let found = distances_only().with_bandwidth(1.5).unwrap().compare(&x, &y).unwrap();
        let kernel = |d: f64| (-d * d / (2.0 * 1.5 * 1.5)).exp();
        for (without_same, energy, mmd) in
            [(false, found.energy.biased, found.mmd.biased), (true, found.energy.unbiased, found.mmd.unbiased)]
        {
            let expected = 2.0 * mean(&x, &y, false, |d| d) - mean(&x, &x, without_same, |d| d) - mean(&y, &y, without_same, |d| d);
            assert!((energy - expected).abs() < 1e-9);
            let expected = mean(&x, &x, without_same, kernel) + mean(&y, &y, without_same, kernel) - 2.0 * mean(&x, &y, false, kernel);
            assert!((mmd - expected).abs() < 1e-9);
        }
        assert!((found.energy_coefficient - found.energy.biased / (2.0 * mean(&x, &y, false, |d| d))).abs() < 1e-9);
        assert_eq!((found.generated_cells, found.observed_cells, found.energy.p_value), (19, 26, None));
    }

    #[test]
    fn a_sample_is_no_distance_from_itself_and_order_does_not_matter() {
        let (x, y) = (cells(30, 0.0, 1), cells(21, 0.5, 2));
        let same = distances_only().compare(&x, &x).unwrap();
        assert!(same.energy.biased < 1e-12 && same.mmd.biased < 1e-12 && same.energy_coefficient < 1e-12);
        assert!(same.energy.unbiased < 0.0);
        let (there, back) = (distances_only().compare(&x, &y).unwrap(), distances_only().compare(&y, &x).unwrap());
        assert!((there.energy.biased - back.energy.biased).abs() < 1e-12);
        assert!((there.mmd.unbiased - back.mmd.unbiased).abs() < 1e-12);
        assert_eq!(there.bandwidth, back.bandwidth);
    }

    #[test]
    fn p_values_are_a_half_on_average_for_one_distribution_and_small_for_two() {
        let test = TwoSampleTest::new().with_permutations(99);
        // Without the copy, which its original comes with and other samples do not.
        let sample = |n: usize, seed: u64| cells(n + 1, 0.0, seed).select(&(1..=n).collect::<Vec<_>>());
        let p_value = |seed: u64| test.compare(&sample(12, seed), &sample(15, seed + 1_000)).unwrap().energy.p_value.unwrap();
        let reached: Vec<f64> = (0..60).map(p_value).collect();
        // Uniform on 60 draws: a mean of 0.5 with a standard error of 0.037.
        let mean = reached.iter().sum::<f64>() / 60.0;
        assert!((0.37..0.63).contains(&mean), "{mean}");
        let apart = test.compare(&cells(40, 0.0, 1), &cells(40, 1.5, 2)).unwrap();
        assert_eq!((apart.energy.p_value, apart.mmd.p_value), (Some(0.01), Some(0.01)));
        // The smaller sample may be either.
        let apart = test.compare(&cells(40, 0.0, 1), &cells(20, 1.5, 2)).unwrap();
        assert_eq!((apart.energy.p_value, apart.mmd.p_value), (Some(0.01), Some(0.01)));
    }

    #[test]
    fn many_cells_are_drawn_by_the_seed() {
        let (x, y) = (cells(50, 0.0, 1), cells(60, 0.0, 2));
        let test = distances_only().with_max_cells(20);
        let drawn = test.compare(&x, &y).unwrap();
        assert_eq!((drawn.generated_cells, drawn.observed_cells), (20, 20));
        assert_eq!(test.compare(&x, &y).unwrap(), drawn);
        assert_ne!(test.with_seed(1).compare(&x, &y).unwrap(), drawn);
    }

    #[test]
    fn classes_with_too_few_cells_are_listed_without_distances() {
        let (x, y) = (cells(30, 0.0, 1), cells(31, 0.5, 2));
        let class = |cell: usize| match cell {
            0..12 => "Astro",
            12..30 => "Neuron",
            _ => "OEC",
        };
        let label = |n: usize| (0..n).map(class).collect::<Vec<_>>();
        let (left, right) = (label(30), label(31));
        let (generated, observed) = (LabeledCells::new(&x, &left).unwrap(), LabeledCells::new(&y, &right).unwrap());
        let found = distances_only().compare_by_class(&generated, &observed).unwrap();
        let names: Vec<&str> = found.iter().map(|class| class.class.as_str()).collect();
        assert_eq!(names, ["Astro", "Neuron", "OEC"]);
        assert_eq!((found[2].generated_cells, found[2].observed_cells, found[2].distances), (0, 1, None));
        let neurons = |matrix: &ExpressionMatrix| matrix.select(&(12..30).collect::<Vec<_>>());
        let expected = distances_only().compare(&neurons(&x), &neurons(&y)).unwrap();
        assert_eq!(found[1].distances, Some(expected));
        let fewer = distances_only().with_min_cells(13).compare_by_class(&generated, &observed).unwrap();
        assert_eq!(fewer[0].distances, None);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let test = TwoSampleTest::new();
        assert_eq!(test.compare(&cells(1, 0.0, 1), &cells(4, 0.0, 1)), Err(TwoSampleError::TooFewCells { generated: 1, observed: 4 }));
        let other = ExpressionMatrix::new(["G0"]).unwrap();
        assert!(matches!(test.compare(&cells(2, 0.0, 1), &other), Err(TwoSampleError::Genes(GeneMismatch { index: 1, .. }))));
        let narrow = TwoSampleTest::new().with_bandwidth(f64::MIN_POSITIVE).unwrap().compare(&cells(9, 0.0, 1), &cells(9, 0.0, 2)).unwrap();
        assert!(narrow.mmd.biased > 0.0 && narrow.mmd.biased < 1.0, "{narrow:?}");
        for bandwidth in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(TwoSampleTest::new().with_bandwidth(bandwidth), Err(TwoSampleError::InvalidBandwidth(bandwidth)));
        }
        assert!(TwoSampleTest::new().with_bandwidth(f64::NAN).is_err());
    }
}
