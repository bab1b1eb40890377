//! Do the probabilities behind the expected rankings come true as often as they say?

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tissuenarrator::eval::{ReliabilityBin, ReliabilityTable};
use tissuenarrator::model::generation::ExpectedRanking;
use tissuenarrator::prelude::*;

/// Genes are predicted to be among so many first ones.
pub(super) const K: usize = 30;
const BINS: usize = 10;

/// Probabilities of genes to be among the first [`K`] of a held-out cell, beside how often they were.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Calibration {
    /// Mean distance of probability and frequency over the bins, by the number of their predictions.
    pub(super) expected_calibration_error: Option<f64>,
    /// Mean square of the distance of each probability to what was observed, 0 or 1.
    pub(super) brier_score: Option<f64>,
    pub(super) bins: Vec<Bin>,
}

/// Predictions of nearly one probability.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Bin {
    pub(super) predictions: u64,
    pub(super) mean_probability: Option<f64>,
    pub(super) frequency: Option<f64>,
}

impl Calibration {
    /// Holds rankings against the observed cells of their tasks, one a task.
    pub(super) fn of<'r>(
        rankings: impl IntoIterator<Item = &'r ExpectedRanking>,
        tasks: &[TaskRecord],
        panel: &Vocabulary,
    ) -> Result<Self> {
        let mut table = ReliabilityTable::new(BINS);
        for (ranking, task) in rankings.into_iter().zip(tasks) {
            let observed = CellSentence::parse(&task.answer).with_context(|| format!("the answer of the task of {}", task.cell_name))?;
            // Over few trajectories, the expected number of ranks that a gene holds may come out above 1.
            let presence: Vec<f32> = ranking.presence(K).into_iter().map(|p| if p > 1.0 { 1.0 } else { p }).collect();
            table.add_cell(&presence, panel, observed.ranking(), K)?;
        }
        let bin = |bin: &ReliabilityBin| Bin {
            predictions: bin.predictions,
            mean_probability: bin.mean_probability(),
            frequency: bin.frequency(),
        };
        Ok(Self {
            expected_calibration_error: table.expected_calibration_error(),
            brier_score: table.brier_score(),
            bins: table.bins().iter().map(bin).collect(),
        })
    }
}
