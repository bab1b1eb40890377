//! `tn prompts`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tissuenarrator::io::Provenance;
use tissuenarrator::sentence::{CellRecord, TaskRecord};
use tissuenarrator::spatial::{SameClass, TaskOptions, Tasks};

use crate::cell_tables::{self, Table};
use crate::error::{CliError, TableKind};
use crate::progress::Console;
use crate::ranges;
use crate::report::Report;

/// Tasks that are written at once.
const CHUNK: usize = 1_024;
/// Targets of each class, unless said otherwise.
const TARGETS_PER_CLASS: usize = 500;
/// The split that stands for all of them.
const EVERY_SPLIT: &str = "all";

/// Turn cells into tasks: a place, its neighbors, and the cell observed there as the answer.
///
/// Neighbors are of the same section and may be of any split.
#[derive(Args, Debug)]
pub(crate) struct Prompts {
    /// Table of cells
    cells: PathBuf,
    /// Table of tasks
    #[arg(short, long, value_name = "TASKS.parquet")]
    output: PathBuf,
    /// Split of the targets, or `all` [default: test, where the table has splits]
    #[arg(long, value_name = "SPLIT")]
    split: Option<String>,
    /// Class of the targets [default: every class]
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Neighbors of each target, the nearest; 0 shows the target alone
    #[arg(long, value_name = "K", default_value_t = 100)]
    neighbors: usize,
    /// Only neighbors within R micrometers [default: however far]
    #[arg(long, value_name = "R", value_parser = ranges::positive, allow_negative_numbers = true)]
    radius: Option<f64>,
    /// Targets to draw of each class, 0 for all [default: 500, where the table has classes]
    #[arg(long, value_name = "N")]
    targets_per_class: Option<usize>,
    /// Leave out neighbors of the target's own class
    #[arg(long)]
    exclude_same_class: bool,
    /// Genes of each cell, the highest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = ranges::count())]
    truncate: usize,
    /// Genes of the answer [default: as many as of each neighbor]
    #[arg(long, value_name = "N", value_parser = ranges::count())]
    answer_genes: Option<usize>,
    /// Metadata of each cell, --meta "" for none [default: class, and spatial_domain where the table has it]
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    meta: Option<Vec<String>>,
}

impl Prompts {
    pub(super) fn run(&self, seed: u64, console: &Console) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.cells])?;
        let Table { rows: cells, metadata } = cell_tables::read::<CellRecord>(&self.cells, TableKind::Cells)?;
        let keys = cell_tables::metadata_keys(&self.cells, &cells, "--meta", self.meta.as_deref())?;
        let split = self.split(&cells);
        let per_class = self.targets_per_class(&cells);
        let provenance = self.provenance(seed, split.as_deref(), per_class, &keys)?;
        let tasks = Tasks::plan(&cells, &self.options(seed, split, per_class, keys))?;

        let mut writer = cell_tables::create::<TaskRecord>(&self.output, &provenance, &metadata)?;
        let progress = console.task("prompts", "tasks", tasks.len() as u64);
        let mut neighbors = 0;
        for chunk in tasks.chunks(CHUNK) {
            writer.write_all(&chunk)?;
            neighbors += chunk.iter().map(|task| task.neighbor_cell_names.len()).sum::<usize>();
            progress.advance(chunk.len() as u64);
        }
        writer.finish()?;
        let targets = (0..tasks.len()).map(|task| tasks.target(task));
        Ok(Report::summary(json!({
            "tasks": tasks.len(),
            "sections": cell_tables::distinct(targets.clone().map(|cell| cell.section.as_str())).len(),
            "classes": cell_tables::distinct(targets.filter_map(CellRecord::class)).len(),
            "mean_neighbors": neighbors as f64 / tasks.len() as f64,
        })))
    }

    fn split(&self, cells: &[CellRecord]) -> Option<String> {
        match self.split.as_deref() {
            Some(EVERY_SPLIT) => None,
            Some(split) => Some(split.to_owned()),
            None => cells.iter().any(|cell| cell.split().is_some()).then(|| "test".to_owned()),
        }
    }

    fn targets_per_class(&self, cells: &[CellRecord]) -> Option<usize> {
        match self.targets_per_class {
            Some(0) => None,
            Some(targets) => Some(targets),
            None => cells.iter().any(|cell| cell.class().is_some()).then_some(TARGETS_PER_CLASS),
        }
    }

    fn options(&self, seed: u64, split: Option<String>, per_class: Option<usize>, keys: Vec<String>) -> TaskOptions {
        let mut options = TaskOptions::default()
            .with_neighbors(self.neighbors)
            .with_same_class(if self.exclude_same_class { SameClass::Exclude } else { SameClass::Keep })
            .with_truncate(self.truncate)
            .with_meta(keys)
            .with_seed(seed);
        if let Some(split) = split {
            options = options.with_split(split);
        }
        if let Some(class) = &self.class {
            options = options.with_class(class);
        }
        if let Some(radius) = self.radius {
            options = options.with_radius(radius);
        }
        if let Some(targets) = per_class {
            options = options.with_targets_per_class(targets);
        }
        if let Some(genes) = self.answer_genes {
            options = options.with_answer_genes(genes);
        }
        options
    }

    fn provenance(&self, seed: u64, split: Option<&str>, per_class: Option<usize>, keys: &[String]) -> Result<Provenance, CliError> {
        Ok(cell_tables::provenance("prompts", seed, &[&self.cells])?
            .with_option("split", split)
            .with_option("class", &self.class)
            .with_option("neighbors", self.neighbors)
            .with_option("radius", self.radius)
            .with_option("targets_per_class", per_class)
            .with_option("exclude_same_class", self.exclude_same_class)
            .with_option("truncate", self.truncate)
            .with_option("answer_genes", self.answer_genes)
            .with_option("meta", keys))
    }
}
