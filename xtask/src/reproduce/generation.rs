//! Held-out cells, and what the model writes in their places.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use tissuenarrator::io::TableReader;
use tissuenarrator::model::generation::{CellWriter, ExpectedRanking, GenerationOptions, Grammar, HeaderField, LocalGenerator, Sampling};
use tissuenarrator::prelude::*;

use super::calibration::Calibration;
use super::plan::Plan;
use super::run_folder::RunFolder;
use super::tissue::Tissue;
use super::training::{Trained, evenly};

/// Genes of an answer: as in published tasks.
const ANSWER_GENES: usize = 100;

/// The cells that the model wrote, in the order of the tasks.
pub(super) struct Generated {
    /// Expected rankings, given the metadata of the target.
    pub(super) conditioned: Vec<GeneratedRecord>,
    /// Expected rankings, given its place only.
    pub(super) unconditioned: Vec<GeneratedRecord>,
    /// Whether the probabilities behind the rankings came true, in the order of both.
    pub(super) calibration: [Calibration; 2],
    /// One sample each at the published settings, given the metadata.
    pub(super) conditioned_sample: Vec<GeneratedRecord>,
    /// One sample each at the published settings, given the place only.
    pub(super) unconditioned_sample: Vec<GeneratedRecord>,
}

/// Chooses held-out cells, spread evenly over the classes, with their neighbors; or reads the tasks of a file.
pub(super) fn tasks(folder: &mut RunFolder, tissue: &Tissue, plan: &Plan, seed: u64, given: Option<&Path>) -> Result<Vec<TaskRecord>> {
    folder.stage("tasks", |folder| {
        let tasks = folder.table("tasks.parquet", || match given {
            Some(path) => Ok(TableReader::open(path)?.read_all()?),
            None => draw_tasks(tissue, plan, seed),
        })?;
        let by_name = tissue.by_name();
        let split = |task: &TaskRecord| by_name.get(task.cell_name.as_str()).and_then(|cell| cell.split());
        if let Some(task) = tasks.iter().find(|task| split(task) == Some("train")) {
            bail!("cell {} of the tasks is in the training split", task.cell_name);
        }
        ensure!(!tasks.is_empty(), "there is no task");
        Ok(tasks)
    })
}

fn draw_tasks(tissue: &Tissue, plan: &Plan, seed: u64) -> Result<Vec<TaskRecord>> {
    let options = task_options(plan, seed);
    let held_out = tissue.cells.iter().filter(|cell| cell.split() == Some("test")).count();
    let wanted = plan.generation.targets.min(held_out);
    // Rare classes give all they have; the others share the rest.
    for per_class in wanted.div_ceil(tissue.classes().len().max(1))..=held_out {
        let tasks = build_tasks(&tissue.cells, &options.clone().with_targets_per_class(per_class))?;
        if tasks.len() >= wanted {
            return Ok(evenly(tasks.len(), wanted).into_iter().map(|task| tasks[task].clone()).collect());
        }
    }
    bail!("the test split has no cell")
}

/// Returns how tasks are made: with as many neighbors, genes and metadata as the training sentences.
pub(super) fn task_options(plan: &Plan, seed: u64) -> TaskOptions {
    TaskOptions::default()
        .with_split("test")
        .with_neighbors(plan.neighbors)
        .with_truncate(plan.genes)
        .with_answer_genes(ANSWER_GENES)
        .with_meta(plan.metadata.iter().copied())
        .with_seed(seed)
}

/// Writes the held-out cells in all modes.
pub(super) fn generate(
    folder: &mut RunFolder,
    trained: &Trained,
    tissue: &Tissue,
    tasks: &[TaskRecord],
    plan: &Plan,
    seed: u64,
) -> Result<Generated> {
    let writer = Writer { trained, tissue, plan, seed };
    let trajectories = plan.generation.trajectories;
    let mut expected = |mode: &str, conditioning| {
        let (cells, calibration) = (format!("generated-{mode}.parquet"), format!("calibration-{mode}.json"));
        folder.stage(&format!("generate {mode}"), |folder| {
            if let Some(found) = folder.read_json(&calibration).filter(|_| folder.has(&cells)) {
                return Ok((folder.table(&cells, || bail!("{cells} has just been there"))?, found));
            }
            folder.remove(&cells)?;
            let (records, rankings): (Vec<_>, Vec<_>) = writer.expected(tasks, conditioning, trajectories)?.into_iter().unzip();
            let found = Calibration::of(&rankings, tasks, &tissue.panel)?;
            folder.write_json(&calibration, &found)?;
            Ok((folder.table(&cells, || Ok(records))?, found))
        })
    };
    let (conditioned, of_conditioned) = expected("conditioned", Conditioning::Conditioned)?;
    let (unconditioned, of_unconditioned) = expected("unconditioned", Conditioning::Unconditioned)?;
    let mut sample =
        |stage: &str, file: &str, conditioning| folder.stage(stage, |folder| folder.table(file, || writer.one_sample(tasks, conditioning)));
    Ok(Generated {
        conditioned,
        unconditioned,
        calibration: [of_conditioned, of_unconditioned],
        conditioned_sample: sample("sample conditioned", "sample-conditioned.parquet", Conditioning::Conditioned)?,
        unconditioned_sample: sample("sample unconditioned", "sample-unconditioned.parquet", Conditioning::Unconditioned)?,
    })
}

/// A trained decoder with what it needs to write cells.
pub(super) struct Writer<'a> {
    pub(super) trained: &'a Trained,
    pub(super) tissue: &'a Tissue,
    pub(super) plan: &'a Plan,
    pub(super) seed: u64,
}

impl Writer<'_> {
    /// Writes the expected ranking of each task, with the probabilities behind it.
    pub(super) fn expected(
        &self,
        tasks: &[TaskRecord],
        conditioning: Conditioning,
        trajectories: u32,
    ) -> Result<Vec<(GeneratedRecord, ExpectedRanking)>> {
        let writer = self.writer(conditioning, trajectories)?;
        let counter = Counter::new(tasks.len());
        let written = writer.consensus(tasks, || counter.count());
        written.into_iter().map(|cell| cell.map(|cell| (cell.record, cell.ranking)).context("writing a cell")).collect()
    }

    fn one_sample(&self, tasks: &[TaskRecord], conditioning: Conditioning) -> Result<Vec<GeneratedRecord>> {
        let writer = self.writer(conditioning, 1)?;
        let counter = Counter::new(tasks.len());
        let written = writer.generate(tasks, || counter.count());
        Ok(written.into_iter().collect::<Result<Vec<_>, _>>().context("writing a cell")?.into_iter().flatten().collect())
    }

    fn writer(&self, conditioning: Conditioning, samples: u32) -> Result<CellWriter<LocalGenerator>> {
        let options = GenerationOptions {
            conditioning,
            order: PromptOrder::FarToNearWeighted { tau: 1.0 },
            max_cells: self.plan.neighbors,
            samples,
            sampling: Sampling::default(),
            max_new_tokens: self.plan.generation.max_new_tokens,
            seed: self.seed,
            ..GenerationOptions::default()
        };
        let grammar = self.grammar(conditioning)?;
        let engine = LocalGenerator::new(&self.trained.model, self.trained.tokenizer.clone())?.with_grammar(grammar);
        Ok(CellWriter::new(engine, options)?)
    }

    /// Returns what may be written: genes of the panel and, where the model writes it, a header with the values of the training cells.
    fn grammar(&self, conditioning: Conditioning) -> Result<Grammar> {
        let tokenizer = &self.trained.tokenizer;
        let grammar = Grammar::new(tokenizer, &self.tissue.panel)?;
        if conditioning != Conditioning::Unconditioned {
            return Ok(grammar);
        }
        let training = self.tissue.cells.iter().filter(|cell| cell.split() == Some("train"));
        let fields = HeaderField::of_cells(training.map(|cell| cell.metadata.select(&self.plan.metadata)));
        Ok(grammar.with_fields(tokenizer, &fields.context("training cells have metadata")?)?)
    }
}

/// Says now and then how many tasks are done.
struct Counter {
    done: AtomicUsize,
    total: usize,
}

impl Counter {
    fn new(total: usize) -> Self {
        Self { done: AtomicUsize::new(0), total }
    }

    fn count(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(100) && done < self.total {
            eprintln!("  {done} of {} cells", self.total);
        }
    }
}
