//! `tn baseline`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use tissuenarrator::eval::ExpressionModel;
use tissuenarrator::eval::baseline::{ClassMean, ClassMeanTable, Lookup, NearestNeighbor, RandomGenes, predict_tasks};
use tissuenarrator::io::{Provenance, TruthRecord};
use tissuenarrator::sentence::{CellRecord, GeneRanking, GeneratedRecord, TaskRecord, Vocabulary};

use super::Mode;
use crate::cell_tables::{self, Table};
use crate::error::{CliError, TableKind};
use crate::gene_panel;
use crate::ranges;
use crate::report::Report;

/// The split over which class means are taken.
const TRAINING_SPLIT: &str = "train";

/// Let a predictor that knows no model write the cells of tasks: what a model has to beat.
///
/// In a simulation, the oracle is about the best that any predictor can do, and the replicate is a second draw of the same cell.
#[derive(Args, Debug)]
pub(crate) struct Baseline {
    /// Table of tasks
    tasks: PathBuf,
    /// Table of generated cells
    #[arg(short, long, value_name = "GENERATED.parquet")]
    output: PathBuf,
    /// What is written
    #[arg(long, value_enum)]
    method: Method,
    /// Table of cells, for class-mean and random; class means are taken over its train split
    #[arg(long, value_name = "CELLS.parquet")]
    cells: Option<PathBuf>,
    /// Truth of the simulation, for oracle and replicate
    #[arg(long, value_name = "TRUTH.parquet")]
    truth: Option<PathBuf>,
    /// Whose class class-mean takes: the target's own (conditioned) or that of most neighbors (unconditioned)
    #[arg(long, value_enum, default_value_t = Mode::Conditioned)]
    mode: Mode,
    /// Radius of the vote of --method majority, in micrometers
    #[arg(long, value_name = "R", default_value_t = NearestNeighbor::DEFAULT_RADIUS, value_parser = ranges::positive, allow_negative_numbers = true)]
    radius: f64,
    /// Genes of class-mean and random
    #[arg(long, value_name = "N", default_value_t = ClassMean::DEFAULT_MAX_GENES, value_parser = ranges::count())]
    max_genes: usize,
    /// Genes that random draws from: one symbol a line, or an .h5ad file [default: those of --cells or of the tasks]
    #[arg(long, value_name = "FILE")]
    panel: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Copies the nearest neighbor
    NearestNeighbor,
    /// Copies the nearest neighbor of the class that most neighbors within --radius have
    Majority,
    /// Copies the nearest neighbor of the target's class
    SameClass,
    /// Genes by mean expression in a class
    ClassMean,
    /// Genes of the panel in random order
    Random,
    /// Genes by true mean expression (simulations)
    Oracle,
    /// A second draw of the same cell (simulations)
    Replicate,
}

impl Baseline {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        cell_tables::check_output(&self.output)?;
        cell_tables::check_is_no_input(&self.output, &self.inputs())?;
        let tasks = cell_tables::read::<TaskRecord>(&self.tasks, TableKind::Tasks)?;
        let (generated, failures) = match self.method {
            Method::NearestNeighbor => predict_tasks(&mut NearestNeighbor::closest(), &tasks.rows),
            Method::Majority => predict_tasks(&mut NearestNeighbor::majority_within(self.radius), &tasks.rows),
            Method::SameClass => predict_tasks(&mut NearestNeighbor::same_class(), &tasks.rows),
            Method::ClassMean => predict_tasks(&mut self.class_mean()?, &tasks.rows),
            Method::Random => {
                let panel = self.panel(&tasks)?;
                predict_tasks(&mut RandomGenes::new(panel, seed).with_max_genes(self.max_genes), &tasks.rows)
            }
            Method::Oracle => predict_tasks(&mut self.lookup(|truth| truth.oracle)?, &tasks.rows),
            Method::Replicate => predict_tasks(&mut self.lookup(|truth| truth.replicate)?, &tasks.rows),
        };
        let failed = failures.len();
        if let Some((cell_name, error)) = failures.into_iter().next() {
            if failed == tasks.rows.len() {
                return Err(CliError::EveryTaskFailed { tasks: failed, source: Box::new(error.into()) });
            }
            tracing::warn!("{failed} of {} tasks could not be run and will score 0; the first one, {cell_name}: {error}", tasks.rows.len());
        }
        let mut writer = cell_tables::create::<GeneratedRecord>(&self.output, &self.provenance(seed)?, &tasks.metadata)?;
        writer.write_all(&generated)?;
        writer.finish()?;
        Ok(Report::summary(json!({ "tasks": tasks.rows.len(), "cells": generated.len(), "failed": failed })))
    }

    fn class_mean(&self) -> Result<ClassMean, CliError> {
        let path = self.cells()?;
        let Table { rows: cells, metadata } = cell_tables::read::<CellRecord>(path, TableKind::Cells)?;
        let is_training = |cell: &&CellRecord| cell.split() == Some(TRAINING_SPLIT);
        let has_splits = cells.iter().any(|cell| cell.split().is_some());
        if !has_splits {
            tracing::warn!("{} has no splits: class means are taken over all cells, targets included", path.display());
        }
        let training: Vec<&CellRecord> = cells.iter().filter(|cell| !has_splits || is_training(cell)).collect();
        if training.is_empty() {
            let splits = cell_tables::distinct(cells.iter().filter_map(CellRecord::split));
            return Err(CliError::UnknownSplit { path: path.to_owned(), split: vec![TRAINING_SPLIT.to_owned()], splits });
        }
        let panel = match gene_panel::of_metadata(&metadata) {
            Some(panel) => Some(panel),
            None => gene_panel::of_rankings(training.iter().map(|cell| &cell.ranking)),
        };
        let mut table = ClassMeanTable::new(panel.ok_or(CliError::NoPanel { looked_in: Vec::new() })?);
        for cell in training {
            table.add_ranking(cell.class().unwrap_or_default(), &cell.ranking, ExpressionModel::MERFISH_BRAIN);
        }
        let baseline = match self.mode {
            Mode::Conditioned => ClassMean::of_target(table),
            Mode::Unconditioned | Mode::PositionOnly => ClassMean::of_neighbors(table),
        };
        Ok(baseline.with_max_genes(self.max_genes))
    }

    fn panel(&self, tasks: &Table<TaskRecord>) -> Result<Vocabulary, CliError> {
        if let Some(path) = &self.panel {
            return gene_panel::read(path);
        }
        let panel = match &self.cells {
            Some(path) => {
                let cells = cell_tables::read::<CellRecord>(path, TableKind::Cells)?;
                gene_panel::of_metadata(&cells.metadata).or_else(|| gene_panel::of_rankings(cells.rows.iter().map(|cell| &cell.ranking)))
            }
            None => gene_panel::of_metadata(&tasks.metadata)
                .or_else(|| gene_panel::of_sentences(tasks.rows.iter().map(|task| task.prompt.as_str()))),
        };
        panel.filter(|panel| !panel.is_empty()).ok_or(CliError::NoPanel { looked_in: Vec::new() })
    }

    fn lookup(&self, ranking: fn(TruthRecord) -> GeneRanking) -> Result<Lookup, CliError> {
        let path = self.truth.as_deref().ok_or(CliError::MissingOption { what: self.method_name(), option: "--truth TRUTH.parquet" })?;
        let truth = cell_tables::read::<TruthRecord>(path, TableKind::Truth)?.rows;
        Ok(truth.into_iter().map(|truth| (truth.cell_name.clone(), ranking(truth))).collect())
    }

    fn cells(&self) -> Result<&Path, CliError> {
        self.cells.as_deref().ok_or(CliError::MissingOption { what: self.method_name(), option: "--cells CELLS.parquet" })
    }

    fn method_name(&self) -> String {
        let name = self.method.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        format!("--method {name}")
    }

    fn inputs(&self) -> Vec<&Path> {
        let given = [Some(&self.tasks), self.cells.as_ref(), self.truth.as_ref(), self.panel.as_ref()];
        given.into_iter().flatten().map(PathBuf::as_path).collect()
    }

    fn provenance(&self, seed: u64) -> Result<Provenance, CliError> {
        Ok(cell_tables::provenance("baseline", seed, &self.inputs())?
            .with_option("method", self.method_name())
            .with_option("mode", format!("{:?}", self.mode.conditioning()))
            .with_option("radius", self.radius)
            .with_option("max_genes", self.max_genes))
    }
}
