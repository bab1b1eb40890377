//! The model beside what it has to beat, and beside what nobody beats.

use anyhow::Result;
use serde::Serialize;
use tissuenarrator::eval::baseline::{ClassMean, Lookup, NearestNeighbor, RandomGenes};
use tissuenarrator::eval::{ScoreTable, score_cells, score_generated};
use tissuenarrator::prelude::*;

use super::generation::Generated;
use super::tissue::Tissue;

/// The lengths of lists that are compared.
pub(super) const KS: [usize; 3] = [10, 30, 50];

/// One predictor and its scores.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scored {
    /// Names the predictor in results.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// What it knows of the target, for readers.
    pub(super) knows: &'static str,
    pub(super) scores: ScoreTable,
}

/// The predictors of one mode, the model first.
pub(super) type ModeScores = Vec<Scored>;

pub(super) const MODEL: &str = "model";
pub(super) const SAMPLE: &str = "model_sample";
pub(super) const CLASS_MEAN: &str = "class_mean";
pub(super) const NEAREST: &str = "nearest_neighbor";
pub(super) const MAJORITY: &str = "nearest_of_majority";
pub(super) const SAME_CLASS: &str = "nearest_of_class";
pub(super) const RANDOM: &str = "random";
pub(super) const ORACLE: &str = "oracle";
pub(super) const REPLICATE: &str = "replicate";

/// Returns the mean of a metric of a predictor.
pub(super) fn mean_of(scores: &[Scored], id: &str, metric: &str) -> Option<f64> {
    scores.iter().find(|scored| scored.id == id)?.scores.mean(metric)
}

/// Scores the conditioned mode: what is known is the place, the metadata of the target and its neighbors.
pub(super) fn conditioned(generated: &Generated, tasks: &[TaskRecord], tissue: &Tissue, seed: u64) -> Result<ModeScores> {
    let class_mean = ClassMean::of_target(tissue.class_means.clone());
    let mut scores = vec![
        written(MODEL, "model, expected ranking", "metadata, neighbors", &generated.conditioned)?,
        written(SAMPLE, "model, one sample", "metadata, neighbors", &generated.conditioned_sample)?,
        baseline(CLASS_MEAN, "class mean", "class", class_mean, tasks)?,
        baseline(SAME_CLASS, "nearest of the class", "class, neighbors", NearestNeighbor::same_class(), tasks)?,
        baseline(NEAREST, "nearest neighbor", "neighbors", NearestNeighbor::closest(), tasks)?,
        baseline(RANDOM, "random genes", "nothing", RandomGenes::new(tissue.panel.clone(), seed), tasks)?,
    ];
    scores.extend(limits(tasks, tissue)?);
    Ok(scores)
}

/// Scores the unconditioned mode: what is known is the place and its neighbors.
pub(super) fn unconditioned(generated: &Generated, tasks: &[TaskRecord], tissue: &Tissue, seed: u64) -> Result<ModeScores> {
    let class_mean = ClassMean::of_neighbors(tissue.class_means.clone());
    let majority = NearestNeighbor::majority_within(NearestNeighbor::DEFAULT_RADIUS);
    let mut scores = vec![
        written(MODEL, "model, expected ranking", "neighbors", &generated.unconditioned)?,
        written(SAMPLE, "model, one sample", "neighbors", &generated.unconditioned_sample)?,
        baseline(CLASS_MEAN, "class mean of neighbors", "neighbors", class_mean, tasks)?,
        baseline(MAJORITY, "nearest of the majority", "neighbors", majority, tasks)?,
        baseline(NEAREST, "nearest neighbor", "neighbors", NearestNeighbor::closest(), tasks)?,
        baseline(RANDOM, "random genes", "nothing", RandomGenes::new(tissue.panel.clone(), seed), tasks)?,
    ];
    scores.extend(limits(tasks, tissue)?);
    Ok(scores)
}

/// What only a simulation knows: the best that any predictor can do on average, and a second draw of the same cell.
fn limits(tasks: &[TaskRecord], tissue: &Tissue) -> Result<Vec<Scored>> {
    let Some(truth) = &tissue.truth else { return Ok(Vec::new()) };
    let oracle: Lookup = truth.cells.iter().map(|cell| (cell.cell_name.clone(), cell.oracle.clone())).collect();
    let replicate: Lookup = truth.cells.iter().map(|cell| (cell.cell_name.clone(), cell.replicate.clone())).collect();
    Ok(vec![
        baseline(ORACLE, "oracle", "the true means", oracle, tasks)?,
        baseline(REPLICATE, "replicate", "a second draw", replicate, tasks)?,
    ])
}

fn written(id: &'static str, name: &'static str, knows: &'static str, generated: &[GeneratedRecord]) -> Result<Scored> {
    Ok(Scored { id, name, knows, scores: score_generated(generated, &KS)? })
}

fn baseline<P: CellPredictor>(
    id: &'static str,
    name: &'static str,
    knows: &'static str,
    mut predictor: P,
    tasks: &[TaskRecord],
) -> Result<Scored> {
    Ok(Scored { id, name, knows, scores: score_cells(&mut predictor, tasks, &KS)? })
}
