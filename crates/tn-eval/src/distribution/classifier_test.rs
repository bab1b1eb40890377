//! Can a classifier tell generated from observed cells?

mod cross_validation;

use cross_validation::{held_out_odds, random_folds};
use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;
use thiserror::Error;
use tn_sentence::request_seed;

use super::logistic_regression::Row;
use super::subsample::subsample;
use super::{GeneMismatch, LabeledCells, LogisticRegressionError};
use crate::{ExpressionMatrix, auroc};

/// A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017) by logistic regression.
///
/// As many generated as observed cells, drawn by the seed from the larger side, are divided into folds with as many of both in
/// each. A [`LogisticRegression`](super::LogisticRegression) of all folds but one judges the cells of that one. Where nothing
/// tells generated cells, half of the judgments are right, and the area under the curve is 0.5; where expression of single genes
/// does, both go towards 1. A difference in spread only is not linear: the classifier does not see it,
/// [`TwoSampleTest`](super::TwoSampleTest) does.
///
/// Genes are divided by their standard deviation over the cells that are learned from, so that the penalty is the same for all;
/// which is what scikit-learn does with `StandardScaler` before `LogisticRegression`. A judgment is "generated" where the log
/// odds are above 0.
///
/// The p-value is the probability that a coin is right as often, `P(Binomial(n, 1/2) ≥ right)`. It takes the judgments as
/// independent, which those of one model are and those of different folds are nearly. It is significant for any difference if
/// there are cells enough; read the area first, and compare it with that between two observed sections.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::ClassifierTest;
///
/// let (mut generated, mut observed) = (ExpressionMatrix::new(["GFAP", "MT-CO1"])?, ExpressionMatrix::new(["GFAP", "MT-CO1"])?);
/// for cell in 0..40 {
///     generated.push_dense(&[(cell % 7) as f32, 0.0])?; // never a mitochondrial gene
///     observed.push_dense(&[(cell % 5) as f32, 1.0])?;
/// }
/// let outcome = ClassifierTest::new().compare(&generated, &observed)?;
/// assert_eq!((outcome.accuracy, outcome.auroc), (1.0, 1.0));
/// assert!(outcome.p_value < 1e-20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierTest {
    folds: usize,
    penalty: f64,
    max_cells: usize,
    seed: u64,
}

/// How well generated cells are told from observed ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierOutcome {
    /// Cells judged, half of them generated.
    pub cells: usize,
    /// Share of right judgments; 0.5 where nothing tells.
    pub accuracy: f64,
    /// The probability that a generated cell has higher odds than an observed one; 0.5 where nothing tells.
    pub auroc: f64,
    /// The probability that a coin is right as often.
    pub p_value: f64,
}

/// The test of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassOutcome {
    /// The class.
    pub class: String,
    /// Its generated cells.
    pub generated_cells: usize,
    /// Its observed cells.
    pub observed_cells: usize,
    /// How well they are told apart; `None` where one side has fewer than two for each fold.
    pub outcome: Option<ClassifierOutcome>,
}

/// An error of a [`ClassifierTest`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ClassifierTestError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// Every fold needs cells of both sides.
    #[error("each side needs at least {needed} cells, there are {generated} generated and {observed} observed")]
    TooFewCells {
        /// Generated cells.
        generated: usize,
        /// Observed cells.
        observed: usize,
        /// Two for each fold.
        needed: usize,
    },
    /// One fold leaves nothing to learn from.
    #[error("at least 2 folds are needed, not {0}")]
    InvalidFolds(usize),
    /// The classifier has no fit.
    #[error(transparent)]
    Fit(#[from] LogisticRegressionError),
}

impl Default for ClassifierTest {
    fn default() -> Self {
        Self { folds: 5, penalty: 1.0, max_cells: Self::DEFAULT_MAX_CELLS, seed: 42 }
    }
}

impl ClassifierTest {
    /// Cells of a side that are drawn, by default.
    pub const DEFAULT_MAX_CELLS: usize = 2_000;

    /// Creates a test of 5 folds, penalty 1, at most 2,000 cells a side and seed 42.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of folds.
    ///
    /// # Errors
    ///
    /// Returns [`ClassifierTestError::InvalidFolds`] for fewer than 2.
    pub fn with_folds(mut self, folds: usize) -> Result<Self, ClassifierTestError> {
        if folds < 2 {
            return Err(ClassifierTestError::InvalidFolds(folds));
        }
        self.folds = folds;
        Ok(self)
    }

    /// Sets the penalty of the coefficients, for genes of standard deviation 1; `1 / C` of scikit-learn.
    ///
    /// # Errors
    ///
    /// Returns [`LogisticRegressionError::InvalidPenalty`] unless it is above 0 and finite.
    pub fn with_penalty(mut self, penalty: f64) -> Result<Self, ClassifierTestError> {
        if !(penalty > 0.0 && penalty.is_finite()) {
            return Err(LogisticRegressionError::InvalidPenalty(penalty).into());
        }
        self.penalty = penalty;
        Ok(self)
    }

    /// Sets how many cells of a side are drawn at most, two for each fold at least; [`usize::MAX`] for all.
    #[must_use]
    pub fn with_max_cells(mut self, max_cells: usize) -> Self {
        self.max_cells = max_cells;
        self
    }

    /// Sets the seed of what is drawn and of the folds.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Tests all cells.
    ///
    /// # Errors
    ///
    /// Different genes, fewer than two cells for each fold on a side, and a fit that does not converge are errors.
    pub fn compare(&self, generated: &ExpressionMatrix, observed: &ExpressionMatrix) -> Result<ClassifierOutcome, ClassifierTestError> {
        GeneMismatch::check(generated, observed)?;
        let all = |matrix: &ExpressionMatrix| (0..matrix.n_cells()).collect::<Vec<_>>();
        self.compare_cells(generated, &all(generated), observed, &all(observed), "")
    }

    /// Tests the cells of each class that occurs on either side, in alphabetical order.
    ///
    /// A class with fewer than two cells for each fold on a side is listed without outcome. What is drawn for a class depends on
    /// the seed and its name only.
    ///
    /// # Errors
    ///
    /// Different genes and a fit that does not converge are errors.
    pub fn compare_by_class(&self, generated: &LabeledCells, observed: &LabeledCells) -> Result<Vec<ClassOutcome>, ClassifierTestError> {
        GeneMismatch::check(generated.matrix(), observed.matrix())?;
        let classes = generated.paired_classes(observed).map(|(class, written, measured)| {
            let enough = written.len().min(measured.len()) >= self.needed();
            let outcome = enough.then(|| self.compare_cells(generated.matrix(), written, observed.matrix(), measured, class));
            Ok(ClassOutcome {
                class: class.to_owned(),
                generated_cells: written.len(),
                observed_cells: measured.len(),
                outcome: outcome.transpose()?,
            })
        });
        classes.collect()
    }

    fn needed(&self) -> usize {
        2 * self.folds
    }

    fn compare_cells(
        &self,
        generated: &ExpressionMatrix,
        generated_cells: &[usize],
        observed: &ExpressionMatrix,
        observed_cells: &[usize],
        class: &str,
    ) -> Result<ClassifierOutcome, ClassifierTestError> {
        let n = generated_cells.len().min(observed_cells.len()).min(self.max_cells.max(self.needed()));
        if n < self.needed() {
            let (generated, observed) = (generated_cells.len(), observed_cells.len());
            return Err(ClassifierTestError::TooFewCells { generated, observed, needed: self.needed() });
        }
        let seed = |stream: u32| request_seed(self.seed, class, stream);
        let written = subsample(generated_cells.len(), n, seed(0)).into_iter().map(|place| generated.cell(generated_cells[place]));
        let measured = subsample(observed_cells.len(), n, seed(1)).into_iter().map(|place| observed.cell(observed_cells[place]));
        let rows: Vec<Row> = written.chain(measured).collect();
        let folds = [random_folds(n, self.folds, seed(2)), random_folds(n, self.folds, seed(3))].concat();
        let positive: Vec<bool> = (0..2 * n).map(|row| row < n).collect();
        let odds = held_out_odds(&rows, &positive, &folds, self.penalty, generated.n_genes())?;
        let right = odds.iter().zip(&positive).filter(|(odds, positive)| (**odds > 0.0) == **positive).count();
        Ok(ClassifierOutcome {
            cells: 2 * n,
            accuracy: right as f64 / (2 * n) as f64,
            auroc: auroc(&odds, &positive).expect("log odds are numbers, and both labels occur"),
            p_value: binomial_tail(right, 2 * n),
        })
    }
}

/// Returns `P(Binomial(n, 1/2) ≥ right)`, the regularized incomplete beta function of a half.
fn binomial_tail(right: usize, n: usize) -> f64 {
    if right == 0 { 1.0 } else { beta_reg(right as f64, (n - right + 1) as f64, 0.5) }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::Value;

    use super::*;

    fn matrix(rows: &[Vec<f32>]) -> ExpressionMatrix {
        let mut cells = ExpressionMatrix::new((0..rows[0].len()).map(|gene| format!("G{gene}"))).unwrap();
        rows.iter().for_each(|row| cells.push_dense(row).unwrap());
        cells
    }

    /// Uniform numbers, the first gene shifted.
    fn cells(n: usize, shift: f32, seed: u64) -> ExpressionMatrix {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut row = || (0..6).map(|gene| rng.random::<f32>() + if gene == 0 { shift } else { 0.0 }).collect();
        matrix(&(0..n).map(|_| row()).collect::<Vec<_>>())
    }

    #[test]
    fn tails_equal_scipy() {
        let golden = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/distribution.json"));
        let golden: Value = serde_json::from_str(golden).unwrap();
        for test in golden["classifier_two_sample"]["expected"]["binomial_tail"].as_array().unwrap() {
            let (right, n) = (test["right"].as_u64().unwrap() as usize, test["n"].as_u64().unwrap() as usize);
            let expected = test["p"].as_f64().unwrap();
            assert!((binomial_tail(right, n) - expected).abs() <= 1e-9 * expected, "{right} of {n}");
        }
    }

    #[test]
    fn cells_of_one_kind_are_not_told_apart() {
        let same = ClassifierTest::new().compare(&cells(200, 0.0, 0), &cells(200, 0.0, 500)).unwrap();
        assert!((same.auroc - 0.5).abs() < 0.1 && same.p_value > 0.01, "{same:?}");
        let apart = ClassifierTest::new().compare(&cells(200, 0.4, 0), &cells(200, 0.0, 500)).unwrap();
        assert!(apart.auroc > 0.75 && apart.p_value < 1e-6, "{apart:?}");
    }

    #[test]
    fn sides_are_balanced_and_drawn_by_the_seed() {
        let test = ClassifierTest::new().with_folds(3).unwrap();
        let (many, few) = (cells(90, 0.2, 0), cells(40, 0.0, 500));
        let outcome = test.compare(&many, &few).unwrap();
        assert_eq!(outcome.cells, 80);
        assert_eq!(test.clone().with_max_cells(20).compare(&many, &few).unwrap().cells, 40);
        assert_ne!(test.with_seed(1).compare(&many, &few).unwrap(), outcome);
    }

    #[test]
    fn classes_with_too_few_cells_are_listed_without_outcome() {
        let (generated, observed) = (cells(30, 0.3, 0), cells(30, 0.0, 500));
        let labels: Vec<&str> = (0..30).map(|cell| if cell < 21 { "Astro" } else { "OEC" }).collect();
        let label = |matrix| LabeledCells::new(matrix, &labels).unwrap();
        let found = ClassifierTest::new().compare_by_class(&label(&generated), &label(&observed)).unwrap();
        assert_eq!((found[0].class.as_str(), found[0].outcome.unwrap().cells), ("Astro", 42));
        assert_eq!((found[1].generated_cells, found[1].observed_cells, found[1].outcome), (9, 9, None));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let error = ClassifierTest::new().compare(&cells(9, 0.0, 0), &cells(30, 0.0, 0)).unwrap_err();
        assert_eq!(error, ClassifierTestError::TooFewCells { generated: 9, observed: 30, needed: 10 });
        let other = ExpressionMatrix::new(["G0"]).unwrap();
        assert!(matches!(ClassifierTest::new().compare(&other, &cells(9, 0.0, 0)), Err(ClassifierTestError::Genes(_))));
        assert_eq!(ClassifierTest::new().with_folds(1), Err(ClassifierTestError::InvalidFolds(1)));
        let error = ClassifierTest::new().with_penalty(-1.0).unwrap_err();
        assert_eq!(error, ClassifierTestError::Fit(LogisticRegressionError::InvalidPenalty(-1.0)));
    }
}
