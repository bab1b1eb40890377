//! Judgments of cells by models that have not seen them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::distribution::logistic_regression::{LogisticRegression, LogisticRegressionError, Row};

/// Returns the fold of each of `n` cells; folds differ by one cell at most.
pub(super) fn random_folds(n: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut of_cell: Vec<usize> = (0..n).map(|cell| cell % folds).collect();
    of_cell.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    of_cell
}

/// Returns the log odds of each row by the model of the other folds.
pub(super) fn held_out_odds(
    rows: &[Row],
    positive: &[bool],
    folds: &[usize],
    penalty: f64,
    n_genes: usize,
) -> Result<Vec<f64>, LogisticRegressionError> {
    let n_folds = folds.iter().max().map_or(0, |last| last + 1);
    let models: Vec<LogisticRegression> = (0..n_folds)
        .into_par_iter()
        .map(|fold| {
            let learned = (0..rows.len()).filter(|&row| folds[row] != fold);
            let (rows, labels): (Vec<Row>, Vec<bool>) = learned.map(|row| (rows[row], positive[row])).unzip();
            // Dividing a gene by s is the same as a penalty of s² for it.
            let penalties =
                variances(&rows, n_genes).iter().map(|&variance| penalty * if variance > 0.0 { variance } else { 1.0 }).collect();
            LogisticRegression::fit_rows(rows, &labels, penalties)
        })
        .collect::<Result<_, _>>()?;
    Ok(rows.iter().zip(folds).map(|(row, &fold)| models[fold].log_odds(*row)).collect())
}

/// Returns the variance of each gene, divisor `n`.
fn variances(rows: &[Row], n_genes: usize) -> Vec<f64> {
    let n = rows.len() as f64;
    let entries =
        || rows.iter().flat_map(|(genes, values)| genes.iter().zip(*values).map(|(&gene, &value)| (gene as usize, f64::from(value))));
    let (mut means, mut squares, mut expressing) = (vec![0.0; n_genes], vec![0.0; n_genes], vec![0_usize; n_genes]);
    entries().for_each(|(gene, value)| means[gene] += value / n);
    entries().for_each(|(gene, value)| {
        squares[gene] += (value - means[gene]).powi(2);
        expressing[gene] += 1;
    });
    let zeros = |gene: usize| (rows.len() - expressing[gene]) as f64 * means[gene] * means[gene];
    (0..n_genes).map(|gene| (squares[gene] + zeros(gene)) / n).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;
    use crate::ExpressionMatrix;

    #[test]
    fn held_out_odds_equal_scikit_learn() {
        let golden = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/distribution.json"));
        let golden: Value = serde_json::from_str(golden).unwrap();
        let case = &golden["classifier_two_sample"];
        let numbers = |value: &Value| -> Vec<f64> { Deserialize::deserialize(value).unwrap() };
        let cells: Vec<Vec<f32>> = Deserialize::deserialize(&case["x"]).unwrap();
        let mut matrix = ExpressionMatrix::new((0..cells[0].len()).map(|gene| format!("G{gene}"))).unwrap();
        cells.iter().for_each(|row| matrix.push_dense(row).unwrap());
        let rows: Vec<Row> = (0..matrix.n_cells()).map(|cell| matrix.cell(cell)).collect();
        let positive: Vec<bool> = numbers(&case["labels"]).iter().map(|&label| label == 1.0).collect();
        let folds: Vec<usize> = numbers(&case["folds"]).iter().map(|&fold| fold as usize).collect();
        let odds = held_out_odds(&rows, &positive, &folds, 1.0 / case["C"].as_f64().unwrap(), matrix.n_genes()).unwrap();
        let expected = numbers(&case["expected"]["decision_function"]);
        assert!(odds.len() == expected.len() && !odds.is_empty());
        for (odds, expected) in odds.iter().zip(expected) {
            assert!((odds - expected).abs() < 1e-6, "{odds}, expected {expected}");
        }
    }

    #[test]
    fn folds_hold_as_many_cells_each() {
        let folds = random_folds(11, 3, 1);
        let sizes: Vec<usize> = (0..3).map(|fold| folds.iter().filter(|&&of| of == fold).count()).collect();
        assert_eq!(sizes, [4, 4, 3]);
    }
}
