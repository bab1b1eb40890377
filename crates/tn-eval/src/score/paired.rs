//! Two predictors on the same cells.

use std::collections::HashMap;

use serde::Serialize;
use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc;
use thiserror::Error;

use super::{Bootstrap, CellScores, Estimate};
use crate::correlation::average_ranks;

/// Cells that an error names.
const SHOWN_CELLS: usize = 5;
/// Up to so many cells, the signed-rank test counts all signs, where no two differences are of one size and none is 0.
const EXACT_DIFFERENCES: usize = 50;
/// Up to so many, it does where some are.
const EXACT_TIED_DIFFERENCES: usize = 13;

/// An error of comparing two predictors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PairedComparisonError {
    /// The tables are not of the same cells.
    #[error("{first} cells are in the first table only and {second} in the second only, for example {}", examples.join(", "))]
    OtherCells {
        /// Cells that only the first table has.
        first: usize,
        /// Cells that only the second table has.
        second: usize,
        /// Some of them.
        examples: Vec<String>,
    },
    /// A table does not have the metric.
    #[error("there is no metric {metric:?}; metrics are {}", metrics.join(", "))]
    UnknownMetric {
        /// The metric that was asked for.
        metric: String,
        /// Those of the first table.
        metrics: Vec<String>,
    },
}

/// How the scores of two predictors differ on the same cells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairedComparison {
    /// The mean of first minus second, with its bootstrap interval.
    pub difference: Estimate,
    /// Cells on which the first is better.
    pub wins: usize,
    /// Cells on which they are equal.
    pub ties: usize,
    /// Cells on which the second is better.
    pub losses: usize,
    /// The two-sided p-value of Wilcoxon's signed-rank test; 1 where all cells are equal.
    ///
    /// Cells on which both are equal are left out. Exact for up to 50 cells whose differences are all of other sizes and none of which is
    /// 0, and for up to 13 of any; else the normal approximation with the correction for ties, without continuity correction: as
    /// `scipy.stats.wilcoxon`. Wilcoxon, Biometrics Bulletin 1, 80 (1945).
    pub signed_rank_p_value: f64,
    /// The two-sided p-value of the sign test: that of as uneven wins and losses by a fair coin; 1 where all cells are equal.
    pub sign_p_value: f64,
}

impl CellScores {
    /// Compares the scores of this predictor with those of a second one on the same cells, by a metric's name.
    ///
    /// ```
    /// # use tn_sentence::{FinishReason, GeneratedRecord, TaskRecord};
    /// use tn_eval::{Bootstrap, score_each};
    ///
    /// # let record = |cell: usize, genes: &str| GeneratedRecord {
    /// #     task: TaskRecord {
    /// #         cell_name: format!("cell-{cell}"), answer: "<pos> X: 1, Y: 2 <cs> FRZB NPY PLP1 </cs>".into(), ..TaskRecord::default()
    /// #     },
    /// #     sample: 0, model_prompt: String::new(), generated_text: String::new(),
    /// #     generated_block: format!("<pos> X: 1, Y: 2 <cs> {genes} </cs>"),
    /// #     finish_reason: FinishReason::Closed, n_tokens: 4, repairs: 0,
    /// # };
    /// # let model: Vec<GeneratedRecord> = (0..8).map(|cell| record(cell, "FRZB NPY")).collect();
    /// # let nearest: Vec<GeneratedRecord> = (0..8).map(|cell| record(cell, if cell < 7 { "FRZB APOD" } else { "FRZB NPY" })).collect();
    /// // A model and the nearest neighbor on eight cells.
    /// let comparison = score_each(&model, &[2])?.compare(&score_each(&nearest, &[2])?, "overlap@2", Bootstrap::of_cells())?;
    /// assert_eq!((comparison.wins, comparison.ties, comparison.losses), (7, 1, 0));
    /// assert!((comparison.sign_p_value - 2.0 / 128.0).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A cell that only one of the tables has and a metric that one of them does not have are errors.
    pub fn compare(&self, second: &Self, metric: &str, bootstrap: Bootstrap) -> Result<PairedComparison, PairedComparisonError> {
        let unknown = || PairedComparisonError::UnknownMetric {
            metric: metric.to_string(),
            metrics: self.metrics().iter().map(ToString::to_string).collect(),
        };
        let (ours, theirs) = (self.values(metric).ok_or_else(unknown)?, second.values(metric).ok_or_else(unknown)?);
        let of_second: HashMap<_, f64> = second.cells().iter().map(super::ScoredCell::key).zip(theirs).collect();
        let keys: HashMap<_, ()> = self.cells().iter().map(|cell| (cell.key(), ())).collect();
        let only_first: Vec<&str> =
            self.cells().iter().filter(|cell| !of_second.contains_key(&cell.key())).map(|cell| cell.cell_name.as_str()).collect();
        let only_second: Vec<&str> =
            second.cells().iter().filter(|cell| !keys.contains_key(&cell.key())).map(|cell| cell.cell_name.as_str()).collect();
        if !only_first.is_empty() || !only_second.is_empty() {
            let examples = only_first.iter().chain(&only_second).take(SHOWN_CELLS).map(ToString::to_string).collect();
            return Err(PairedComparisonError::OtherCells { first: only_first.len(), second: only_second.len(), examples });
        }
        let differences: Vec<f64> = self.cells().iter().zip(ours).map(|(cell, ours)| ours - of_second[&cell.key()]).collect();
        let sections: Vec<&str> = self.cells().iter().map(|cell| cell.section.as_str()).collect();
        let count = |is_counted: fn(&f64) -> bool| differences.iter().filter(|difference| is_counted(difference)).count();
        let (wins, losses) = (count(|difference| *difference > 0.0), count(|difference| *difference < 0.0));
        Ok(PairedComparison {
            difference: bootstrap.estimate(&differences, &sections),
            wins,
            ties: differences.len() - wins - losses,
            losses,
            signed_rank_p_value: signed_rank_p_value(&differences),
            sign_p_value: sign_p_value(wins, losses),
        })
    }
}

/// Returns the two-sided p-value of Wilcoxon's signed-rank test, by the rule of `scipy.stats.wilcoxon`.
fn signed_rank_p_value(all: &[f64]) -> f64 {
    let differences: Vec<f64> = all.iter().copied().filter(|difference| *difference != 0.0).collect();
    if differences.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let ranks = average_ranks(&sizes);
    let positive: f64 = ranks.iter().zip(&differences).filter(|(_, difference)| **difference > 0.0).map(|(rank, _)| rank).sum();
    let mut sorted = sizes;
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tie| (tie.len() as f64).powi(3) - tie.len() as f64).sum();
    let n = differences.len() as f64;
    let is_simple = ties == 0.0 && differences.len() == all.len();
    if all.len() <= if is_simple { EXACT_DIFFERENCES } else { EXACT_TIED_DIFFERENCES } {
        return (2.0 * chance_of_rank_sum_up_to(&ranks, positive.min(n * (n + 1.0) / 2.0 - positive))).min(1.0);
    }
    let mean = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    erfc((positive - mean).abs() / variance.sqrt() / std::f64::consts::SQRT_2)
}

/// Returns the chance that the ranks with a positive sign sum up to at most `sum`, every sign being a fair coin.
fn chance_of_rank_sum_up_to(ranks: &[f64], sum: f64) -> f64 {
    // Ranks that are shared are halves.
    let twice = |value: f64| (2.0 * value).round() as usize;
    let mut chances = vec![0.0; twice(ranks.iter().sum()) + 1];
    chances[0] = 1.0;
    for rank in ranks.iter().copied().map(twice) {
        for total in (0..chances.len()).rev() {
            let with = if total >= rank { chances[total - rank] } else { 0.0 };
            chances[total] = 0.5 * (chances[total] + with);
        }
    }
    chances[..=twice(sum)].iter().sum()
}

/// Returns the two-sided p-value of the sign test.
fn sign_p_value(wins: usize, losses: usize) -> f64 {
    let (n, fewer) = (wins + losses, wins.min(losses));
    if n == 0 || wins == losses {
        return 1.0;
    }
    // The chance of at most `fewer` heads among `n`, twice.
    (2.0 * beta_reg((n - fewer) as f64, fewer as f64 + 1.0, 0.5)).min(1.0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn both_tests_are_scipys() {
        let golden: Value = serde_json::from_str(include_str!("../../../../data-fixtures/golden/ranking.json")).unwrap();
        for case in golden["paired"].as_array().unwrap() {
            let differences: Vec<f64> = case["differences"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
            let count = |sign: f64| differences.iter().filter(|difference| **difference * sign > 0.0).count();
            for (found, name) in [(signed_rank_p_value(&differences), "wilcoxon"), (sign_p_value(count(1.0), count(-1.0)), "binomtest")] {
                let expected = case[name].as_f64().unwrap();
                assert!(
                    (found - expected).abs() <= 1e-9 * expected,
                    "{name} of {} differences: {found}, expected {expected}",
                    differences.len()
                );
            }
        }
    }

    #[test]
    fn other_cells_and_metrics_are_errors_that_name_them() {
        use crate::{Metric, ScoredCell};
        use tn_sentence::TaskRecord;
        let scores = |names: &[&str]| {
            let cell = |name: &&str| ScoredCell::new(&TaskRecord { cell_name: name.to_string(), ..TaskRecord::default() }, vec![0.5]);
            CellScores::new(vec![Metric::NdcgFull], names.iter().map(cell).collect())
        };
        let error =
            |second: &[&str], metric| scores(&["a", "b"]).compare(&scores(second), metric, Bootstrap::of_cells()).unwrap_err().to_string();
        assert_eq!(error(&["b", "c"], "ndcg"), "1 cells are in the first table only and 1 in the second only, for example a, c");
        assert_eq!(error(&["a", "b"], "rbo"), "there is no metric \"rbo\"; metrics are ndcg");
    }

    #[test]
    fn equal_predictors_do_not_differ() {
        assert_eq!((signed_rank_p_value(&[0.0; 4]), sign_p_value(0, 0), sign_p_value(3, 3)), (1.0, 1.0, 1.0));
    }
}
