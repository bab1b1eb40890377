//! `tn surprise`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tissuenarrator::io::Provenance;
use tissuenarrator::model::likelihood::{CellScorer, LikelihoodError};
use tissuenarrator::sentence::{CellLikelihood, SurpriseRecord, TaskRecord};

use super::model_options::{DeviceOptions, PromptOptions, Weights};
use crate::cell_tables;
use crate::error::{CliError, TableKind};
use crate::interrupt::Interrupt;
use crate::model_folder;
use crate::progress::Console;
use crate::ranges;
use crate::report::Report;
use crate::task_run::{Shards, TaskFailure, TaskRow, TaskRun};

/// Ask a model how probable observed cells are, given their neighbors, and what each neighbor tells about them.
///
/// Numbers are in nats. The surprise of a cell is minus the mean log-probability of its genes; the gain is what the neighbors together
/// add to the log-likelihood, the influence of a neighbor what is lost when it alone is left out. Influence says what the model reads
/// from a neighbor, not what the neighbor causes.
///
/// Results are saved in OUTPUT.partial while the command runs; if it is interrupted, --resume goes on from there.
#[derive(Args, Debug)]
pub(crate) struct Surprise {
    /// Table of tasks, with the observed cells as answers
    tasks: PathBuf,
    /// Table of surprises
    #[arg(short, long, value_name = "SURPRISE.parquet")]
    output: PathBuf,
    /// Model (config.json, safetensors, tokenizer.json), such as the run folder of `tn train`
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// LoRA adapter of the model
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    prompts: PromptOptions,
    /// Leave the influences out: they take a run of the model for each neighbor
    #[arg(long)]
    no_influence: bool,
    /// How the weights of the model are held: bf16 and int8 take a half and a quarter of the memory and are faster, and round
    #[arg(long, value_enum, default_value_t = Weights::F32)]
    weights: Weights,
    #[command(flatten)]
    device: DeviceOptions,
    /// Tasks between two saves
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = ranges::count())]
    save_every: usize,
    /// Go on with the interrupted run of the same output, if there is one
    #[arg(long)]
    resume: bool,
}

impl Surprise {
    pub(super) fn run(&self, seed: u64, console: &Console) -> Result<Report, CliError> {
        cell_tables::check_output(&self.output)?;
        cell_tables::check_is_no_input(&self.output, &[&self.tasks])?;
        let tasks = cell_tables::read::<TaskRecord>(&self.tasks, TableKind::Tasks)?;
        model_folder::check(&self.model)?;
        let provenance = self.provenance(seed)?;
        let mut shards = Shards::<SurpriseRecord>::of_output(&self.output, &provenance, self.save_every);
        let mut summary = Summary::default();
        if self.resume && shards.is_finished() {
            tracing::info!("this run is finished already");
            summary.add(&cell_tables::read(&self.output, TableKind::Surprise)?.rows);
            return Ok(summary.report());
        }
        shards.check(self.resume)?;
        let scorer = self.scorer(seed)?;
        shards.start()?;

        let interrupt = Interrupt::watch()?;
        let failed = "could not be scored";
        let run = TaskRun { name: "surprise", failed, tasks: &tasks.rows, shards: &shards, interrupt: &interrupt };
        run.go::<LikelihoodError>(
            console,
            |tasks, rows, deliver| {
                scorer.score_each(tasks, |index, likelihood| {
                    let record = |likelihood| vec![record(&tasks[index], rows[index], Ok(likelihood))];
                    deliver(index, likelihood.map(record))
                });
            },
            |records| summary.add(records),
        )?;
        shards.finish(tasks.rows.len(), &tasks.metadata)?;
        if summary.shortened_prompts > 0 {
            let (prompts, neighbors) = (summary.shortened_prompts, summary.neighbors_left_out);
            tracing::warn!("{prompts} prompts were too long for the model: {neighbors} of the farthest neighbors are left out");
        }
        Ok(summary.report())
    }

    fn scorer(&self, seed: u64) -> Result<CellScorer, CliError> {
        model_folder::warn_of_coordinates(&self.model, self.adapter.as_deref(), self.prompts.coordinates());
        let (model, tokenizer) =
            model_folder::load_packed(&self.model, self.adapter.as_deref(), self.weights.format(), &self.device.open()?)?;
        let scorer = CellScorer::new(model, tokenizer, self.prompts.builder(seed))?.with_coordinates(self.prompts.coordinates());
        Ok(if self.no_influence { scorer.without_influences() } else { scorer })
    }

    fn provenance(&self, seed: u64) -> Result<Provenance, CliError> {
        let mut files = model_folder::files(&self.model);
        files.extend(self.adapter.as_deref().map(model_folder::files).unwrap_or_default());
        let inputs: Vec<&Path> = std::iter::once(&self.tasks).chain(&files).map(PathBuf::as_path).collect();
        let provenance = self.prompts.record(cell_tables::provenance("surprise", seed, &inputs)?);
        Ok(provenance.with_option("influence", !self.no_influence).with_option("weights", self.weights.format().name()))
    }
}

impl TaskRow for SurpriseRecord {
    fn is_of(&self, task: &TaskRecord, row: usize, nth: usize) -> bool {
        self.task as usize == row && self.cell_name == task.cell_name && nth == 0
    }

    fn failed(task: &TaskRecord, row: usize, error: &str) -> Self {
        record(task, row, Err(error.to_owned()))
    }
}

impl TaskFailure for LikelihoodError {}

/// What was scored.
#[derive(Default)]
struct Summary {
    tasks: usize,
    scored: usize,
    genes: usize,
    surprise: f64,
    gain: f64,
    shortened_prompts: usize,
    neighbors_left_out: u64,
}

impl Summary {
    fn add(&mut self, records: &[SurpriseRecord]) {
        self.tasks += records.len();
        for likelihood in records.iter().filter_map(|record| record.outcome.as_ref().ok()) {
            self.scored += 1;
            self.genes += likelihood.genes.len();
            self.surprise += likelihood.surprise();
            self.gain += likelihood.gain();
            self.shortened_prompts += usize::from(likelihood.neighbors_left_out > 0);
            self.neighbors_left_out += u64::from(likelihood.neighbors_left_out);
        }
    }

    fn report(&self) -> Report {
        let mean = |sum: f64| (self.scored > 0).then(|| sum / self.scored as f64);
        Report::summary(json!({
            "tasks": self.tasks,
            "scored": self.scored,
            "failed": self.tasks - self.scored,
            "genes": self.genes,
            "mean_surprise": mean(self.surprise),
            "mean_gain": mean(self.gain),
            "shortened_prompts": self.shortened_prompts,
            "neighbors_left_out": self.neighbors_left_out,
        }))
    }
}

/// Returns the row of one task.
fn record(task: &TaskRecord, row: usize, outcome: Result<CellLikelihood, String>) -> SurpriseRecord {
    let row = u32::try_from(row).expect("tasks that are held in memory are fewer than 2^32");
    SurpriseRecord::new(row, task, outcome)
}
