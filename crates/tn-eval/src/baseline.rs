//! Predictors that know no model: what a generated cell has to beat.
//!
//! All implement [`CellPredictor`], so that they are scored by the code that scores a model.
//!
//! | predictor | writes |
//! |---|---|
//! | [`NearestNeighbor`] | the genes of a cell in the prompt: the closest, the closest of the local majority, the closest of the target's class |
//! | [`ClassMean`] | the genes of the class by mean expression in the training cells |
//! | [`NeighborhoodMean`] | the genes by mean expression over the cells of the prompt, all or the nearest |
//! | [`RidgeComposition`] | the genes by an expression that is linear in the classes around |
//! | [`RandomGenes`] | genes of the panel in random order: the floor |
//! | [`Lookup`] | a ranking given for the cell: the oracle and the replicate of a simulation, another program's prediction |
//!
//! None reads the answer of a task. What they may know is the place of the target and, in the variants that are compared
//! with conditioned generation, its class.

mod class_mean;
mod class_mean_table;
mod lookup;
mod nearest_neighbor;
mod neighborhood_mean;
mod random_genes;
mod ridge_composition;

use thiserror::Error;
use tn_sentence::{
    CellPredictor, CellSentence, CoordinateFormat, FinishReason, GeneRanking, GeneratedRecord, Position, PositionError, SpatialSentence,
    TaskRecord, Vocabulary,
};

use crate::score::{ScoreError, ScoreTable, score_generated};

pub use class_mean::{ClassMean, UnknownClass};
pub use class_mean_table::{ClassMeanError, ClassMeanTable};
pub use lookup::{Lookup, LookupError};
pub use nearest_neighbor::NearestNeighbor;
pub use neighborhood_mean::NeighborhoodMean;
pub use random_genes::RandomGenes;
pub use ridge_composition::{RidgeComposition, RidgeError, RidgeFitter};

/// An error of a baseline.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The prompt has no cell to copy.
    #[error("the prompt of cell {cell_name} holds no readable cell")]
    NoNeighbors {
        /// The target.
        cell_name: String,
    },
    /// The target has no place.
    #[error("cell {cell_name} has no valid position")]
    InvalidPosition {
        /// The target.
        cell_name: String,
        /// What is wrong with it.
        source: PositionError,
    },
    /// No ranking was given for the cell.
    #[error("there is no ranking for cell {cell_name}")]
    NotFound {
        /// The target.
        cell_name: String,
    },
}

/// Predicts every task and returns the rows of a table of generated cells, in the order of the tasks, and the tasks that
/// failed.
///
/// A failed task has a row as well, without text and with [`FinishReason::Error`]: it scores 0. Blocks are written with
/// whole micrometers, as models are trained to write them.
pub fn predict_tasks<P: CellPredictor>(predictor: &mut P, tasks: &[TaskRecord]) -> (Vec<GeneratedRecord>, Vec<(String, P::Error)>) {
    let mut failures = Vec::new();
    let generated = tasks
        .iter()
        .map(|task| {
            let (block, finish_reason) = match predictor.predict(task) {
                Ok(cell) => (cell.display(CoordinateFormat::Integer).to_string(), FinishReason::Closed),
                Err(error) => {
                    failures.push((task.cell_name.clone(), error));
                    (String::new(), FinishReason::Error)
                }
            };
            GeneratedRecord {
                task: task.clone(),
                sample: 0,
                model_prompt: String::new(),
                generated_text: block.clone(),
                generated_block: block,
                finish_reason,
                n_tokens: 0,
                repairs: 0,
            }
        })
        .collect();
    (generated, failures)
}

/// Scores a predictor on tasks: [`predict_tasks`], then [`score_generated`]. A task that fails scores 0 and is counted as
/// unreadable.
///
/// # Errors
///
/// As [`score_generated`].
pub fn score_cells<P: CellPredictor>(predictor: &mut P, tasks: &[TaskRecord], ks: &[usize]) -> Result<ScoreTable, ScoreError> {
    let (generated, _) = predict_tasks(predictor, tasks);
    score_generated(&generated, ks)
}

/// Writes the cell of a task with the genes, and the class where one is known.
fn written_cell(task: &TaskRecord, ranking: GeneRanking, class: Option<&str>) -> Result<CellSentence, BaselineError> {
    let cell = CellSentence::new(target_position(task)?, ranking);
    match class.filter(|class| !class.trim().is_empty()) {
        Some(class) => Ok(cell.with_metadata("class", class).expect("`class` is a valid metadata key")),
        None => Ok(cell),
    }
}

fn target_position(task: &TaskRecord) -> Result<Position, BaselineError> {
    Position::new(task.x, task.y).map_err(|source| BaselineError::InvalidPosition { cell_name: task.cell_name.clone(), source })
}

/// Ranks the genes of a panel that have more than 0, the highest first; equal ones keep the order of the panel.
fn ranked_by(panel: &Vocabulary, values: &[f64], max_genes: usize) -> GeneRanking {
    let mut order: Vec<usize> = (0..panel.len()).filter(|&gene| values[gene] > 0.0).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(max_genes);
    let symbols = order.into_iter().map(|gene| panel.symbols()[gene].clone()).collect();
    GeneRanking::from_symbols(symbols).expect("the genes of a panel are distinct")
}

/// The cells of a prompt that can be read, in their order.
fn prompt_cells(task: &TaskRecord) -> Vec<CellSentence> {
    SpatialSentence::parse_lenient(&task.prompt).0.into_cells()
}

/// How classes are compared: without surrounding white space, in lower case. Nothing is `None`.
fn class_key(class: &str) -> Option<String> {
    let class = class.trim();
    (!class.is_empty()).then(|| class.to_lowercase())
}

/// The most common class, by [`class_key`]; of two equally common the one met first. Written as first met.
fn most_common_class<'a>(classes: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut counts: Vec<(String, &str, usize)> = Vec::new();
    for class in classes {
        let Some(key) = class_key(class) else {
            continue;
        };
        match counts.iter_mut().find(|(other, ..)| *other == key) {
            Some((.., count)) => *count += 1,
            None => counts.push((key, class, 1)),
        }
    }
    let most = counts.iter().map(|(.., count)| *count).max()?;
    counts.into_iter().find(|(.., count)| *count == most).map(|(_, class, _)| class)
}

#[cfg(test)]
fn task(prompt: &str, class: &str) -> TaskRecord {
    TaskRecord {
        cell_name: "target".to_string(),
        prompt: prompt.to_string(),
        answer: "<pos> X: 0, Y: 0 <cs> </cs>".to_string(),
        x: 0.0,
        y: 0.0,
        section: "section".to_string(),
        neighbor_cell_names: Vec::new(),
        class: class.to_string(),
        split: "test".to_string(),
        scenario: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_met_first_wins_a_tie() {
        let classes = ["OEC", "Peri", " ", "peri ", "oec", "N/A"];
        assert_eq!(most_common_class(classes.into_iter()), Some("OEC"));
        assert_eq!(most_common_class(["", " "].into_iter()), None);
    }

    #[test]
    fn a_failed_task_has_a_row_that_scores_zero() {
        let tasks = [task("", "OEC"), task("<pos> X: 1, Y: 1 <cs> A </cs>", "OEC")];
        let mut nearest = NearestNeighbor::closest();
        let (generated, failures) = predict_tasks(&mut nearest, &tasks);
        assert_eq!(failures.len(), 1);
        assert_eq!(generated[0].finish_reason, FinishReason::Error);
        assert_eq!(generated[1].generated_block, "<pos> X: 0, Y: 0 <cs> A </cs>");
        assert_eq!(score_cells(&mut nearest, &tasks, &[10]).unwrap().unreadable, 1);
    }

    #[test]
    fn a_target_without_a_place_is_an_error() {
        let mut nowhere = task("<pos> X: 1, Y: 1 <cs> A </cs>", "");
        nowhere.x = f64::NAN;
        let error = NearestNeighbor::closest().predict(&nowhere).unwrap_err();
        assert!(matches!(error, BaselineError::InvalidPosition { .. }));
    }
}
