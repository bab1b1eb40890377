//! Logistic regression with an L2 penalty, on sparse cells.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ExpressionMatrix;

/// A sparse row: indices of genes and values.
pub(super) type Row<'a> = (&'a [u32], &'a [f32]);

/// Newton steps; a few suffice where the penalty is not far below the information of the cells.
const MAX_STEPS: usize = 100;
/// Steps of conjugate gradients for one Newton step.
const MAX_INNER_STEPS: usize = 500;
/// The gradient at the end, each part in units of the root of its curvature: half of its square is how much log-likelihood a gene
/// of its own could still gain.
const TOLERANCE: f64 = 1e-8;

/// A linear model of the odds that a cell is positive: `log(p / (1 - p)) = intercept + Σ coefficient · expression`.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::LogisticRegression;
///
/// let mut cells = ExpressionMatrix::new(["CD14", "ACTB"])?;
/// for (cd14, actb) in [(2.0, 1.0), (1.5, 2.0), (0.0, 2.0), (0.2, 1.0)] {
///     cells.push_dense(&[cd14, actb])?;
/// }
/// let model = LogisticRegression::fit(&cells, &[true, true, false, false], 1.0)?;
/// assert!(model.coefficients[0] > 0.5 && model.coefficients[1].abs() < 0.1);
/// assert!(model.log_odds(cells.cell(0)) > 0.0); // a monocyte
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticRegression {
    /// The coefficient of each gene, for each unit of expression.
    pub coefficients: Vec<f64>,
    /// The log odds of a cell without expression.
    pub intercept: f64,
}

/// An error of [`LogisticRegression::fit`].
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum LogisticRegressionError {
    /// Every cell needs its label.
    #[error("{cells} cells and {labels} labels cannot be paired")]
    LengthMismatch {
        /// Number of cells.
        cells: usize,
        /// Number of labels.
        labels: usize,
    },
    /// Both kinds of cell are needed.
    #[error("both labels are needed: {positive} positive, {negative} negative")]
    OneLabel {
        /// Number of positive labels.
        positive: usize,
        /// Number of negative labels.
        negative: usize,
    },
    /// Without a penalty, labels that can be separated have no best coefficients.
    #[error("the penalty is {0}; it must be above 0 and finite")]
    InvalidPenalty(f64),
    /// The coefficients are not at their best, which only values of extreme size should bring about.
    #[error("the fit has not converged in {steps} steps")]
    NotConverged {
        /// Steps of Newton's method.
        steps: usize,
    },
}

impl LogisticRegression {
    /// Fits the coefficients that minimize `Σ log(1 + exp(∓ log odds)) + penalty / 2 · Σ coefficient²`.
    ///
    /// The intercept carries no penalty. Equals `sklearn.linear_model.LogisticRegression(C=1 / penalty)`. Newton's method, each
    /// step by conjugate gradients (Lin, Weng and Keerthi, Journal of Machine Learning Research 9, 627 (2008)): deterministic,
    /// work and memory go with the stored values.
    ///
    /// # Errors
    ///
    /// A number of labels other than that of the cells, only one kind of label (also: no cells), a penalty that is not above 0
    /// and finite, and a fit that does not converge are errors.
    pub fn fit(cells: &ExpressionMatrix, positive: &[bool], penalty: f64) -> Result<Self, LogisticRegressionError> {
        if cells.n_cells() != positive.len() {
            return Err(LogisticRegressionError::LengthMismatch { cells: cells.n_cells(), labels: positive.len() });
        }
        if !(penalty > 0.0 && penalty.is_finite()) {
            return Err(LogisticRegressionError::InvalidPenalty(penalty));
        }
        let rows = (0..cells.n_cells()).map(|cell| cells.cell(cell)).collect();
        Self::fit_rows(rows, positive, vec![penalty; cells.n_genes()])
    }

    /// Fits rows of equal number with the labels, with a penalty above 0 for each gene.
    pub(super) fn fit_rows(rows: Vec<Row>, positive: &[bool], penalties: Vec<f64>) -> Result<Self, LogisticRegressionError> {
        let n_positive = positive.iter().filter(|&&label| label).count();
        if n_positive == 0 || n_positive == positive.len() {
            return Err(LogisticRegressionError::OneLabel { positive: n_positive, negative: positive.len() - n_positive });
        }
        let labels = positive.iter().map(|&label| f64::from(u8::from(label))).collect();
        let mut coefficients = Problem { rows, labels, penalties: [penalties, vec![0.0]].concat() }.minimize(MAX_STEPS)?;
        let intercept = coefficients.pop().expect("the intercept is the last coefficient");
        Ok(Self { coefficients, intercept })
    }

    /// Returns the log odds of a cell, given as by [`ExpressionMatrix::cell`], to be positive.
    ///
    /// # Panics
    ///
    /// Panics if a gene is none of the model's.
    #[must_use]
    pub fn log_odds(&self, (genes, values): (&[u32], &[f32])) -> f64 {
        self.intercept + genes.iter().zip(values).map(|(&gene, &value)| self.coefficients[gene as usize] * f64::from(value)).sum::<f64>()
    }
}

/// The function to minimize. Coefficients are those of the genes, then the intercept, whose penalty is 0.
struct Problem<'a> {
    rows: Vec<Row<'a>>,
    labels: Vec<f64>,
    penalties: Vec<f64>,
}

impl Problem<'_> {
    fn minimize(&self, max_steps: usize) -> Result<Vec<f64>, LogisticRegressionError> {
        let mut coefficients = vec![0.0; self.penalties.len()];
        let mut odds: Vec<f64> = vec![0.0; self.rows.len()];
        for _ in 0..max_steps {
            let probabilities: Vec<f64> = odds.iter().map(|odds| 1.0 / (1.0 + (-odds).exp())).collect();
            let residuals: Vec<f64> = probabilities.iter().zip(&self.labels).map(|(p, label)| p - label).collect();
            let mut gradient = self.sums_by_gene(&residuals, |value| value);
            gradient.iter_mut().zip(&coefficients).zip(&self.penalties).for_each(|((sum, value), penalty)| *sum += penalty * value);
            let curvatures: Vec<f64> = probabilities.iter().map(|p| p * (1.0 - p)).collect();
            let mut diagonal = self.sums_by_gene(&curvatures, |value| value * value);
            // Where every cell is certain, the intercept has no curvature left, and no gradient either.
            diagonal.iter_mut().zip(&self.penalties).for_each(|(value, penalty)| *value = (*value + penalty).max(f64::MIN_POSITIVE));
            let left = gradient.iter().zip(&diagonal).map(|(value, scale)| value * value / scale).sum::<f64>().sqrt();
            if left <= TOLERANCE {
                return Ok(coefficients);
            }
            let direction = self.newton_direction(&gradient, &curvatures, &diagonal, left.sqrt().min(0.5));
            let along = self.log_odds(&direction);
            let size = self.step_size(&coefficients, &odds, &direction, &along, dot(&gradient, &direction));
            coefficients.iter_mut().zip(&direction).for_each(|(value, change)| *value += size * change);
            odds.iter_mut().zip(&along).for_each(|(value, change)| *value += size * change);
        }
        Err(LogisticRegressionError::NotConverged { steps: max_steps })
    }

    /// Solves `H d = -g`, with H the matrix of second derivatives, by conjugate gradients, preconditioned by its diagonal.
    fn newton_direction(&self, gradient: &[f64], curvatures: &[f64], diagonal: &[f64], accuracy: f64) -> Vec<f64> {
        let precondition = |residual: &[f64]| -> Vec<f64> { residual.iter().zip(diagonal).map(|(value, scale)| value / scale).collect() };

        let mut direction = vec![0.0; gradient.len()];
        let mut residual: Vec<f64> = gradient.iter().map(|value| -value).collect();
        let mut scaled = precondition(&residual);
        let mut search = scaled.clone();
        let mut energy = dot(&residual, &scaled);
        let enough = accuracy * accuracy * energy;
        for _ in 0..MAX_INNER_STEPS {
            let product = self.second_derivatives(&search, curvatures);
            let size = energy / dot(&search, &product);
            direction.iter_mut().zip(&search).for_each(|(value, change)| *value += size * change);
            residual.iter_mut().zip(&product).for_each(|(value, change)| *value -= size * change);
            scaled = precondition(&residual);
            let next = dot(&residual, &scaled);
            if next <= enough {
                break;
            }
            search.iter_mut().zip(&scaled).for_each(|(value, scaled)| *value = scaled + next / energy * *value);
            energy = next;
        }
        direction
    }

    /// Returns the product of H with a vector.
    fn second_derivatives(&self, vector: &[f64], curvatures: &[f64]) -> Vec<f64> {
        let weighted: Vec<f64> = self.log_odds(vector).iter().zip(curvatures).map(|(odds, curvature)| odds * curvature).collect();
        let mut product = self.sums_by_gene(&weighted, |value| value);
        product.iter_mut().zip(vector).zip(&self.penalties).for_each(|((sum, value), penalty)| *sum += penalty * value);
        product
    }

    /// Halves a step until it descends as far as its slope promises (Armijo), up to rounding.
    fn step_size(&self, coefficients: &[f64], odds: &[f64], direction: &[f64], along: &[f64], slope: f64) -> f64 {
        let value_at = |size: f64| {
            let losses = odds.iter().zip(along).zip(&self.labels).map(|((odds, along), label)| {
                let odds = odds + size * along;
                odds.max(0.0) + (-odds.abs()).exp().ln_1p() - label * odds
            });
            let moved = coefficients.iter().zip(direction).map(|(value, change)| value + size * change);
            losses.sum::<f64>() + moved.zip(&self.penalties).map(|(value, penalty)| penalty / 2.0 * value * value).sum::<f64>()
        };
        let here = value_at(0.0);
        let mut size = 1.0;
        while size > 1e-10 && value_at(size) > here + 1e-4 * size * slope + 1e-12 * here {
            size /= 2.0;
        }
        size
    }

    fn log_odds(&self, coefficients: &[f64]) -> Vec<f64> {
        let intercept = coefficients[coefficients.len() - 1];
        let of_row = |(genes, values): &Row| {
            intercept + genes.iter().zip(*values).map(|(&gene, &value)| coefficients[gene as usize] * f64::from(value)).sum::<f64>()
        };
        self.rows.iter().map(of_row).collect()
    }

    /// Returns, for each gene, the sum over cells of a weight times a function of its value; last, that of the weights.
    fn sums_by_gene(&self, weights: &[f64], of: fn(f64) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.penalties.len()];
        for ((genes, values), weight) in self.rows.iter().zip(weights) {
            genes.iter().zip(*values).for_each(|(&gene, &value)| sums[gene as usize] += weight * of(f64::from(value)));
        }
        let last = sums.len() - 1;
        sums[last] = weights.iter().sum();
        sums
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn matrix(rows: &[&[f32]]) -> ExpressionMatrix {
        let mut cells = ExpressionMatrix::new((0..rows[0].len()).map(|gene| format!("G{gene}"))).unwrap();
        rows.iter().for_each(|row| cells.push_dense(row).unwrap());
        cells
    }

    /// The gradient at the end, from the definition.
    fn gradient(cells: &ExpressionMatrix, positive: &[bool], penalty: f64, model: &LogisticRegression) -> Vec<f64> {
        let mut sums: Vec<f64> = model.coefficients.iter().map(|value| penalty * value).chain([0.0]).collect();
        for (cell, &label) in positive.iter().enumerate() {
            let residual = 1.0 / (1.0 + (-model.log_odds(cells.cell(cell))).exp()) - f64::from(u8::from(label));
            let (genes, values) = cells.cell(cell);
            genes.iter().zip(values).for_each(|(&gene, &value)| sums[gene as usize] += residual * f64::from(value));
            *sums.last_mut().unwrap() += residual;
        }
        sums
    }

    #[test]
    fn the_fit_is_where_the_gradient_vanishes() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (penalty, scale) in [(1.0, 1.0), (1e-3, 1.0), (1e3, 1.0), (1.0, 1e3), (1.0, 1e-3)] {
            let rows: Vec<Vec<f32>> = (0..80)
                .map(|_| {
                    (0..10).map(|gene| if rng.random_bool(0.6) { scale * rng.random_range(0.0..1.0 + gene as f32) } else { 0.0 }).collect()
                })
                .collect();
            let cells = matrix(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
            // Separable in part; all positive where gene 3 is high.
            let positive: Vec<bool> = rows.iter().map(|row| row[3] > scale * 1.5 || rng.random_bool(0.2)).collect();
            let model = LogisticRegression::fit(&cells, &positive, penalty).unwrap();
            let left = gradient(&cells, &positive, penalty, &model).iter().map(|value| value.abs()).fold(0.0, f64::max);
            assert!(left < 1e-6 * f64::from(scale).max(1.0), "{penalty}, {scale}: {left}");
        }
    }

    #[test]
    fn a_gene_that_does_not_vary_gets_nothing() {
        let cells = matrix(&[&[1.0, 5.0, 0.0], &[2.0, 5.0, 0.0], &[3.0, 5.0, 0.0]]);
        let model = LogisticRegression::fit(&cells, &[false, true, true], 1.0).unwrap();
        assert!(model.coefficients[0] > 0.1 && model.coefficients[1].abs() < 1e-8 && model.coefficients[2] == 0.0);
    }

    #[test]
    fn cells_that_are_all_equal_leave_the_share_of_positives() {
        let cells = matrix(&[&[1.0], &[1.0], &[1.0], &[1.0]]);
        let model = LogisticRegression::fit(&cells, &[true, true, true, false], 1.0).unwrap();
        assert!((model.log_odds(cells.cell(0)) - 3.0_f64.ln()).abs() < 1e-8);
        let even = LogisticRegression::fit(&cells, &[true, true, false, false], 1.0).unwrap();
        assert_eq!(even, LogisticRegression { coefficients: vec![0.0], intercept: 0.0 });
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let cells = matrix(&[&[1.0], &[2.0]]);
        let fit = |labels: &[bool], penalty| LogisticRegression::fit(&cells, labels, penalty);
        assert_eq!(fit(&[true], 1.0), Err(LogisticRegressionError::LengthMismatch { cells: 2, labels: 1 }));
        assert_eq!(fit(&[true, true], 1.0), Err(LogisticRegressionError::OneLabel { positive: 2, negative: 0 }));
        assert_eq!(fit(&[true, false], 0.0), Err(LogisticRegressionError::InvalidPenalty(0.0)));
        assert!(fit(&[true, false], f64::NAN).is_err());
        let rows = (0..2).map(|cell| cells.cell(cell)).collect();
        let problem = Problem { rows, labels: vec![1.0, 0.0], penalties: vec![1.0, 0.0] };
        assert_eq!(problem.minimize(1), Err(LogisticRegressionError::NotConverged { steps: 1 }));
    }
}
