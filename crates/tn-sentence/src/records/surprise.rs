//! A row of the table of surprises.

use super::TaskRecord;
use crate::GeneRanking;

/// How probable a model finds one observed cell.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SurpriseRecord {
    /// The row of the task in its table, from 0: names of cells may repeat there.
    pub task: u32,
    /// The name of the observed cell.
    pub cell_name: String,
    /// Its section.
    pub section: String,
    /// Where it is: horizontal coordinate in micrometers.
    pub x: f64,
    /// Where it is: vertical coordinate in micrometers.
    pub y: f64,
    /// Its class, empty where unknown.
    pub class: String,
    /// Its split, empty where unknown.
    pub split: String,
    /// What the model says, or why it says nothing.
    pub outcome: Result<CellLikelihood, String>,
}

impl SurpriseRecord {
    /// Builds the row of the task that is the given row of its table.
    pub fn new(row: u32, task: &TaskRecord, outcome: Result<CellLikelihood, String>) -> Self {
        Self {
            task: row,
            cell_name: task.cell_name.clone(),
            section: task.section.clone(),
            x: task.x,
            y: task.y,
            class: task.class.clone(),
            split: task.split.clone(),
            outcome,
        }
    }
}

/// The log-likelihood of an observed cell, in nats.
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellLikelihood, GeneRanking};
///
/// let cell = CellLikelihood {
///     genes: GeneRanking::parse("GFAP AQP4")?,
///     gene_log_probabilities: vec![-1.0, -2.0],
///     header: 0.0,
///     close: -0.5,
///     without_neighbors: -5.0,
///     neighbors: vec!["cell-7".into()],
///     influences: vec![2.0],
///     neighbors_left_out: 0,
/// };
/// assert_eq!((cell.total(), cell.surprise(), cell.gain()), (-3.0, 1.5, 2.0));
/// # Ok::<(), tn_sentence::GeneRankingError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CellLikelihood {
    /// The observed genes, in their order.
    pub genes: GeneRanking,
    /// Log-probability of each gene, given the genes before it; the sum over its tokens.
    pub gene_log_probabilities: Vec<f64>,
    /// Log-probability of the metadata before the genes, where the model is to write them; 0 where it is given them or shall not know.
    pub header: f64,
    /// Log-probability of the closing tag.
    pub close: f64,
    /// Sum over the genes, given no neighbors.
    pub without_neighbors: f64,
    /// The neighbors, in the order of the prompt: their names where the task knows them, else class and position.
    pub neighbors: Vec<String>,
    /// Influence of each neighbor on the sum over the genes, in the order of the prompt; empty where it was not asked for.
    pub influences: Vec<f64>,
    /// Neighbors left out because the model cannot read as much at once.
    pub neighbors_left_out: u32,
}

impl CellLikelihood {
    /// Returns the sum over the genes.
    pub fn total(&self) -> f64 {
        self.gene_log_probabilities.iter().sum()
    }

    /// Returns minus the mean log-probability of a gene; NaN without genes.
    pub fn surprise(&self) -> f64 {
        -self.total() / self.gene_log_probabilities.len() as f64
    }

    /// Returns what the neighbors together tell about the genes.
    pub fn gain(&self) -> f64 {
        self.total() - self.without_neighbors
    }
}
