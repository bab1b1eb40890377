//! A linear model of who is around.

use thiserror::Error;
use tn_sentence::{CellPredictor, CellSentence, TaskRecord, Vocabulary};

use super::{BaselineError, class_key, prompt_cells, ranked_by, written_cell};
use crate::ExpressionModel;

/// An error of fitting a [`RidgeComposition`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum RidgeError {
    /// There is nothing to learn from.
    #[error("no task was added whose answer can be read")]
    NoTasks,
    /// The penalty keeps the solution finite.
    #[error("the penalty is {0}; it must be a number above 0")]
    InvalidPenalty(f64),
}

/// Learns a [`RidgeComposition`] from tasks as they stream by. Memory holds the square of the features, not the tasks.
#[derive(Clone, Debug)]
pub struct RidgeFitter {
    features: Features,
    panel: Vocabulary,
    model: ExpressionModel,
    n_tasks: usize,
    /// Sums of products of features, row by row.
    gram: Vec<f64>,
    /// Sums of products of features and outcomes, a row for each feature.
    products: Vec<f64>,
}

/// What a prediction is made of: 1, the share of each class among the neighbors, and whether the target is of it.
#[derive(Clone, Debug)]
struct Features {
    /// Lower-cased.
    classes: Vec<String>,
    with_target: bool,
}

impl Features {
    fn len(&self) -> usize {
        1 + self.classes.len() * if self.with_target { 2 } else { 1 }
    }

    fn of(&self, task: &TaskRecord) -> Vec<f64> {
        let place = |class: &str| class_key(class).and_then(|key| self.classes.binary_search(&key).ok());
        let mut features = vec![0.0; self.len()];
        features[0] = 1.0;
        let cells = prompt_cells(task);
        let known: Vec<usize> = cells.iter().filter_map(|cell| place(cell.class()?)).collect();
        for &class in &known {
            features[1 + class] += 1.0 / known.len() as f64;
        }
        if let Some(class) = place(&task.class).filter(|_| self.with_target) {
            features[1 + self.classes.len() + class] = 1.0;
        }
        features
    }
}

impl RidgeFitter {
    /// Learns from the classes of the neighbors; classes are compared without surrounding white space, in lower case.
    pub fn of_neighbors<C: AsRef<str>>(panel: Vocabulary, classes: impl IntoIterator<Item = C>, model: ExpressionModel) -> Self {
        Self::new(panel, classes, model, false)
    }

    /// Learns from the class of the target, too: beside conditioned generation.
    pub fn of_neighbors_and_target<C: AsRef<str>>(panel: Vocabulary, classes: impl IntoIterator<Item = C>, model: ExpressionModel) -> Self {
        Self::new(panel, classes, model, true)
    }

    fn new<C: AsRef<str>>(panel: Vocabulary, classes: impl IntoIterator<Item = C>, model: ExpressionModel, with_target: bool) -> Self {
        let mut classes: Vec<String> = classes.into_iter().filter_map(|class| class_key(class.as_ref())).collect();
        classes.sort_unstable();
        classes.dedup();
        let features = Features { classes, with_target };
        let n = features.len();
        Self { gram: vec![0.0; n * n], products: vec![0.0; n * panel.len()], features, panel, model, n_tasks: 0 }
    }

    /// Adds a training task with its answer: the expression of a gene is that of its rank, 0 for one that is not there. An answer that
    /// cannot be read is left out.
    pub fn add(&mut self, task: &TaskRecord) {
        let Some(answer) = CellSentence::parse_lenient(&task.answer).0 else { return };
        let x = self.features.of(task);
        let mut y = vec![0.0; self.panel.len()];
        for (rank, gene) in answer.ranking().iter().enumerate() {
            if let Some(index) = self.panel.index_of(gene) {
                y[index] = self.model.at_rank(rank).max(0.0);
            }
        }
        self.n_tasks += 1;
        add_products(&mut self.gram, &x, &x);
        add_products(&mut self.products, &x, &y);
    }

    /// Solves for the coefficients: least squares with `penalty · Σ β²` over all but the constant, as scikit-learn's `Ridge`.
    ///
    /// # Errors
    ///
    /// No task with an answer and a penalty that is not above 0 are errors.
    pub fn fit(&self, penalty: f64) -> Result<RidgeComposition, RidgeError> {
        if !(penalty.is_finite() && penalty > 0.0) {
            return Err(RidgeError::InvalidPenalty(penalty));
        }
        if self.n_tasks == 0 {
            return Err(RidgeError::NoTasks);
        }
        let coefficients = solve_ridge(&self.gram, &self.products, self.features.len(), penalty);
        Ok(RidgeComposition { features: self.features.clone(), panel: self.panel.clone(), coefficients, max_genes: 100 })
    }
}

/// Adds the outer product of two vectors to a matrix.
fn add_products(sums: &mut [f64], x: &[f64], y: &[f64]) {
    for (row, x) in sums.chunks_exact_mut(y.len()).zip(x).filter(|(_, x)| **x != 0.0) {
        row.iter_mut().zip(y).for_each(|(sum, y)| *sum += x * y);
    }
}

/// Solves `(X'X + penalty D) B = X'Y`, `D` being 1 on the diagonal but for the constant, by the Cholesky decomposition.
fn solve_ridge(gram: &[f64], products: &[f64], n: usize, penalty: f64) -> Vec<f64> {
    let mut lower = gram.to_vec();
    (1..n).for_each(|feature| lower[feature * n + feature] += penalty);
    for row in 0..n {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|k| lower[row * n + k] * lower[column * n + k]).sum();
            let rest = lower[row * n + column] - dot;
            lower[row * n + column] = if row == column { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / lower[column * n + column] };
        }
    }
    let outcomes = products.len() / n;
    let mut solution = products.to_vec();
    // Forwards by the lower triangle, backwards by its transpose.
    for row in 0..n {
        for k in 0..row {
            subtract(&mut solution, outcomes, row, k, lower[row * n + k]);
        }
        solution[row * outcomes..(row + 1) * outcomes].iter_mut().for_each(|value| *value /= lower[row * n + row]);
    }
    for row in (0..n).rev() {
        for k in row + 1..n {
            subtract(&mut solution, outcomes, row, k, lower[k * n + row]);
        }
        solution[row * outcomes..(row + 1) * outcomes].iter_mut().for_each(|value| *value /= lower[row * n + row]);
    }
    solution
}

/// Takes `factor` times row `k` of a matrix from its row `row`.
fn subtract(matrix: &mut [f64], columns: usize, row: usize, k: usize, factor: f64) {
    if factor != 0.0 {
        for column in 0..columns {
            matrix[row * columns + column] -= factor * matrix[k * columns + column];
        }
    }
}

/// Writes the genes by an expression that is linear in who is around: what classes the neighbors are of, and, if it learned from that,
/// what class the target is of.
///
/// The simplest model that uses a neighborhood at all. A prompt of unknown classes gives the mean cell. Of genes of equal expression, the
/// first of the panel comes first; those of 0 or less are left out. The prediction names the class of the task if it was told.
///
/// ```
/// use tn_eval::ExpressionModel;
/// use tn_eval::baseline::RidgeFitter;
/// use tn_sentence::{CellPredictor, TaskRecord, Vocabulary};
///
/// let task = |neighbor: &str, genes: &str| TaskRecord {
///     prompt: format!("<pos> X: 3, Y: 4 <meta> class: {neighbor} <cs> MLC1 </cs>"),
///     answer: format!("<pos> X: 0, Y: 0 <cs> {genes} </cs>"),
///     ..TaskRecord::default()
/// };
/// let panel = Vocabulary::new(["AQP4", "GAD1", "SPP1"])?;
/// let mut fitter = RidgeFitter::of_neighbors(panel, ["Microglia", "Neuron"], ExpressionModel::MERFISH_BRAIN);
/// for _ in 0..20 {
///     fitter.add(&task("Microglia", "SPP1 AQP4"));
///     fitter.add(&task("Neuron", "AQP4 GAD1"));
/// }
/// let mut model = fitter.fit(1.0)?;
/// assert_eq!(model.predict(&task("Microglia", ""))?.ranking().top(2).to_string(), "SPP1 AQP4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RidgeComposition {
    features: Features,
    panel: Vocabulary,
    /// A row for each feature.
    coefficients: Vec<f64>,
    max_genes: usize,
}

impl RidgeComposition {
    /// Sets the length of the rankings, 100 by default.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }
}

impl CellPredictor for RidgeComposition {
    type Error = BaselineError;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        let mut expression = vec![0.0; self.panel.len()];
        for (row, x) in self.coefficients.chunks_exact(self.panel.len()).zip(self.features.of(task)).filter(|(_, x)| *x != 0.0) {
            expression.iter_mut().zip(row).for_each(|(sum, coefficient)| *sum += x * coefficient);
        }
        let class = self.features.with_target.then_some(task.class.as_str());
        written_cell(task, ranked_by(&self.panel, &expression, self.max_genes), class)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::task;
    use super::*;

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        let row = |row: &Value| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        value.as_array().unwrap().iter().map(row).collect()
    }

    #[test]
    fn coefficients_are_those_of_scikit_learn() {
        let golden: Value = serde_json::from_str(include_str!("../../../../data-fixtures/golden/models.json")).unwrap();
        for case in golden["ridge"].as_array().unwrap() {
            let (x, y) = (rows(&case["x"]), rows(&case["y"]));
            let (n, outcomes) = (x[0].len() + 1, y[0].len());
            let (mut gram, mut products) = (vec![0.0; n * n], vec![0.0; n * outcomes]);
            for (x, y) in x.iter().zip(&y) {
                let x = [&[1.0], &x[..]].concat();
                add_products(&mut gram, &x, &x);
                add_products(&mut products, &x, y);
            }
            let found = solve_ridge(&gram, &products, n, case["penalty"].as_f64().unwrap());
            let mut expected =
                vec![case["intercept"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect::<Vec<f64>>()];
            expected.extend(rows(&case["coefficients"]));
            for (found, expected) in found.iter().zip(expected.concat()) {
                assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
            }
        }
    }

    #[test]
    fn unknown_classes_give_the_mean_cell() {
        let panel = Vocabulary::new(["A", "B"]).unwrap();
        let mut fitter = RidgeFitter::of_neighbors_and_target(panel, ["x"], ExpressionModel::new(1.0, -0.5));
        let mut example = task("<pos> X: 1, Y: 1 <meta> class: X <cs> A </cs>", "x");
        example.answer = "<pos> X: 0, Y: 0 <cs> B A </cs>".to_string();
        fitter.add(&example);
        let cell = fitter.fit(1.0).unwrap().predict(&task("", "other")).unwrap();
        assert_eq!(cell.to_string(), "<pos> X: 0, Y: 0 <meta> class: other <cs> B A </cs>");
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let fitter = RidgeFitter::of_neighbors(Vocabulary::new(["A"]).unwrap(), ["x"], ExpressionModel::MERFISH_BRAIN);
        assert_eq!(fitter.fit(1.0).unwrap_err(), RidgeError::NoTasks);
        assert_eq!(fitter.fit(0.0).unwrap_err().to_string(), "the penalty is 0; it must be a number above 0");
    }
}
