//! `tn generate`.

mod engine;

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::json;
use tissuenarrator::io::Provenance;
use tissuenarrator::model::DeviceChoice;
use tissuenarrator::model::SentenceTokenizer;
use tissuenarrator::model::generation::{
    Batching, CellWriter, EarlyStop, ExpectationOptions, GenerateError, GenerationOptions, Grammar, LocalGenerator, RemoteError,
    RemoteGenerator, Sampling, Shortened,
};
use tissuenarrator::sentence::{Conditioning, FinishReason, GeneratedRecord, TaskRecord};

use self::engine::{BackendOptions, Engine};
use super::model_options::{DeviceOptions, PromptOptions, Weights};
use crate::cell_tables;
use crate::error::{CliError, TableKind};
use crate::gene_panel;
use crate::header_fields;
use crate::interrupt::Interrupt;
use crate::model_folder;
use crate::progress::Console;
use crate::ranges;
use crate::report::Report;
use crate::task_run::{Shards, TaskFailure, TaskRow, TaskRun};

/// Trajectories of the expected ranking, unless said otherwise.
const TRAJECTORIES: u32 = 16;

/// Trajectories after which an expected ranking is compared with what it was.
const ROUND: u32 = 8;

/// Tasks between two saves, unless said otherwise: servers are given more at once.
const SAVE_EVERY: usize = 64;
const SAVE_EVERY_SERVERS: usize = 1_024;

/// Let a model write the cells of tasks.
///
/// Results are saved in OUTPUT.partial while the command runs; if it is interrupted, --resume goes on from there. A cell depends
/// on the seed, its name and the number of the sample only, not on the other tasks.
#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// Table of tasks
    tasks: PathBuf,
    /// Table of generated cells
    #[arg(short, long, value_name = "GENERATED.parquet")]
    output: PathBuf,
    /// Model (config.json, safetensors, tokenizer.json), such as the run folder of `tn train`; servers have their own, and are only sent
    /// the tokens of this one's tokenizer
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// LoRA adapter of the model
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    prompts: PromptOptions,
    /// Samples of each cell, or trajectories with --consensus [default: 1; 16 with --consensus]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    samples: Option<u32>,
    /// Write the expected ranking over the samples, drawn at temperature 1, instead of each sample
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "greedy", "free"])]
    consensus: bool,
    /// Draw no further trajectories once the first N genes of the expected ranking are the same as 8 trajectories before
    #[arg(long, value_name = "N", requires = "consensus", value_parser = ranges::count())]
    early_stop: Option<usize>,
    /// Divides the logits; 0 takes the most probable token
    #[arg(long, value_name = "T", default_value_t = 0.3)]
    temperature: f32,
    /// Draw from the K most probable tokens; 0 is all
    #[arg(long, value_name = "K", default_value_t = 10)]
    top_k: usize,
    /// Draw from the most probable tokens that hold this share of the probability; 1 is all
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    top_p: f32,
    /// Draw from tokens at least this probable, relative to the most probable one
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    min_p: f32,
    /// Take the most probable token at every step
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "min_p"])]
    greedy: bool,
    /// Tokens to write, at most
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    max_new_tokens: usize,
    /// Genes that may be written: one symbol a line, or an .h5ad file [default: panel.txt of the adapter or the model]
    #[arg(long, value_name = "FILE", conflicts_with = "free")]
    panel: Option<PathBuf>,
    /// How the weights of the model are held: bf16 and int8 take a half and a quarter of the memory and are faster, and round
    #[arg(long, value_enum, default_value_t = Weights::F32)]
    weights: Weights,
    #[command(flatten)]
    device: DeviceOptions,
    /// Gibibytes that keys and values of the cells written together take at most [default: 4]
    #[arg(long, value_name = "GIB", value_parser = ranges::positive)]
    cache_gib: Option<f64>,
    /// Write freely: any token at any time, genes of the panel or not, twice or not
    #[arg(long)]
    free: bool,
    /// Tasks between two saves [default: 64; 1024 with --backend openai]
    #[arg(long, value_name = "N", value_parser = ranges::count())]
    save_every: Option<usize>,
    /// Go on with the interrupted run of the same output, if there is one
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    backend: BackendOptions,
}

impl Generate {
    pub(super) fn run(&self, seed: u64, console: &Console) -> Result<Report, CliError> {
        cell_tables::check_output(&self.output)?;
        let inputs = std::iter::once(&self.tasks).chain(&self.panel).collect::<Vec<_>>();
        cell_tables::check_is_no_input(&self.output, &inputs)?;
        self.check_backend()?;
        self.sampling().validate()?;
        let tasks = cell_tables::read::<TaskRecord>(&self.tasks, TableKind::Tasks)?;
        let panel_file = self.panel_file()?;
        let servers = match self.backend.is_server() {
            true => Some(self.backend.connect(self.model.as_deref())?),
            false => None,
        };
        let provenance = self.provenance(seed, panel_file.as_deref(), servers.as_ref())?;
        let mut shards = Shards::of_output(&self.output, &provenance, self.save_every());
        if self.resume && shards.is_finished() {
            tracing::info!("this run is finished already");
            let generated = cell_tables::read::<GeneratedRecord>(&self.output, TableKind::Generated)?;
            return Ok(Summary::of(&generated.rows).report(tasks.rows.len()));
        }
        shards.check(self.resume)?;
        let interrupt = Interrupt::watch()?;
        let engine = match servers {
            Some(servers) => Engine::servers(servers, self.options(seed))?,
            None => self.local_engine(seed, panel_file.as_deref(), &interrupt)?,
        };
        shards.start()?;

        let mut summary = Summary::default();
        let failed = "could not be run and will score 0";
        let run = TaskRun { name: "generate", failed, tasks: &tasks.rows, shards: &shards, interrupt: &interrupt };
        run.go(console, |tasks, _, deliver| engine.write(tasks, deliver), |records| summary.add(records))?;
        shards.finish(tasks.rows.len(), &tasks.metadata)?;
        summary.shortened = engine.shortened();
        if summary.shortened.prompts > 0 {
            let Shortened { prompts, neighbors } = summary.shortened;
            tracing::warn!("{prompts} prompts were too long for the model: {neighbors} of the farthest neighbors are left out");
        }
        Ok(summary.report(tasks.rows.len()))
    }

    /// Refuses what servers cannot do.
    fn check_backend(&self) -> Result<(), CliError> {
        let missing = |what: &str, option| Err(CliError::MissingOption { what: what.to_owned(), option });
        match (self.backend.is_server(), self.backend.option_of_servers()) {
            (true, _) if self.backend.urls().is_empty() => return missing("--backend openai", "--url URL"),
            (true, _) => {}
            (false, Some(option)) => return missing(option, "--backend openai"),
            (false, None) if self.model.is_none() => return missing("--backend local", "--model DIR"),
            (false, None) => return Ok(()),
        }
        let refused = [
            (self.consensus, "--consensus", "it adds up the probabilities of all genes at every step, and servers return only the text"),
            (self.panel.is_some(), "--panel", "what a server writes cannot be restricted from here"),
            (self.weights != Weights::F32, "--weights", "servers hold their weights as they were started"),
            (self.cache_gib.is_some(), "--cache-gib", "servers have their own caches"),
            (self.device.device != DeviceChoice::Auto, "--device", "servers run where they were started"),
            (self.adapter.is_some(), "--adapter", "start the servers with the adapter, and name it with --model-name"),
        ];
        match refused.into_iter().find(|(is_given, ..)| *is_given) {
            Some((_, option, reason)) => Err(CliError::NotForServers { option, reason }),
            None => Ok(()),
        }
    }

    fn local_engine(&self, seed: u64, panel_file: Option<&Path>, interrupt: &Interrupt) -> Result<Engine, CliError> {
        let Some(model) = self.local_model() else {
            return Err(CliError::MissingOption { what: "--backend local".to_owned(), option: "--model DIR" });
        };
        model_folder::warn_of_coordinates(model, self.adapter.as_deref(), self.prompts.coordinates());
        let (model, tokenizer) = model_folder::load_packed(model, self.adapter.as_deref(), self.weights.format(), &self.device.open()?)?;
        let grammar = match panel_file {
            None => None,
            Some(path) => self.grammar(path, &tokenizer)?,
        };
        let early_stop = self.early_stop.map(|ranks| EarlyStop { ranks, every: ROUND });
        let expectation = ExpectationOptions { early_stop, ..ExpectationOptions::default() };
        let usual = Batching::of(&model);
        let cache_bytes = self.cache_gib.map_or(usual.cache_bytes, |gib| (gib * f64::from(1 << 30)) as usize);
        let engine = LocalGenerator::from_packed(model, tokenizer)?
            .with_expectation(expectation)
            .with_batching(Batching { cache_bytes, ..usual })
            .with_interrupt(interrupt.flag());
        let engine = match grammar {
            Some(grammar) => engine.with_grammar(grammar),
            None => engine,
        };
        let writer = CellWriter::new(engine, self.options(seed))?;
        Ok(if self.consensus { Engine::Consensus(writer) } else { Engine::Samples(writer) })
    }

    /// Returns the folder of the model that runs here, if one does.
    fn local_model(&self) -> Option<&Path> {
        self.model.as_deref().filter(|_| !self.backend.is_server())
    }

    fn save_every(&self) -> usize {
        self.save_every.unwrap_or(if self.backend.is_server() { SAVE_EVERY_SERVERS } else { SAVE_EVERY })
    }

    /// Returns the grammar of a panel if the tokenizer can write its genes. A consensus cannot do without, a panel that was asked for is not
    /// given up, and one in the folder of the model says that its tokenizer knows each gene.
    fn grammar(&self, panel_file: &Path, tokenizer: &SentenceTokenizer) -> Result<Option<Grammar>, CliError> {
        let panel = gene_panel::read(panel_file)?;
        let model = self.local_model().unwrap_or(Path::new(""));
        let has_to_match = self.panel.is_some() || model.join(gene_panel::FILE_NAME).exists();
        match Grammar::new(tokenizer, &panel).map_err(GenerateError::from) {
            Ok(grammar) => Ok(Some(self.with_header(grammar, tokenizer)?)),
            Err(source) if has_to_match => {
                Err(CliError::PanelMismatch { folder: model.to_owned(), panel: panel_file.to_owned(), source: Box::new(source) })
            }
            Err(error) if self.consensus => Err(error.into()),
            Err(error) => {
                tracing::warn!("genes are written freely: {error}");
                Ok(None)
            }
        }
    }

    /// Adds the header, where it is to be written and the training cells had one form: the fields and values that the model has seen.
    fn with_header(&self, grammar: Grammar, tokenizer: &SentenceTokenizer) -> Result<Grammar, CliError> {
        if self.prompts.conditioning() != Conditioning::Unconditioned {
            return Ok(grammar);
        }
        for folder in self.adapter.iter().chain(&self.model) {
            let Some(fields) = header_fields::read(folder)? else { continue };
            return Ok(grammar.clone().with_fields(tokenizer, &fields).unwrap_or_else(|error| {
                tracing::warn!("headers are written freely: {error}");
                grammar
            }));
        }
        Ok(grammar)
    }

    fn panel_file(&self) -> Result<Option<PathBuf>, CliError> {
        let Some(model) = self.local_model().filter(|_| !self.free && self.panel.is_none()) else {
            return Ok(self.panel.clone());
        };
        let folders = self.adapter.as_deref().into_iter().chain([model]);
        let looked_in: Vec<PathBuf> = folders.map(|folder| folder.join(gene_panel::FILE_NAME)).collect();
        model_folder::check(model)?;
        match looked_in.iter().find(|path| path.exists()) {
            Some(path) => Ok(Some(path.clone())),
            None if self.consensus => Err(CliError::NoPanel { looked_in }),
            None => {
                tracing::warn!("genes are written freely: there is no {} and no --panel", gene_panel::FILE_NAME);
                Ok(None)
            }
        }
    }

    fn options(&self, seed: u64) -> GenerationOptions {
        GenerationOptions {
            conditioning: self.prompts.conditioning(),
            coordinates: self.prompts.coordinates(),
            order: self.prompts.order(),
            max_cells: self.prompts.max_cells,
            samples: self.samples(),
            sampling: self.sampling(),
            max_new_tokens: self.max_new_tokens,
            seed,
        }
    }

    fn samples(&self) -> u32 {
        self.samples.unwrap_or(if self.consensus { TRAJECTORIES } else { 1 })
    }

    fn sampling(&self) -> Sampling {
        match (self.consensus, self.greedy) {
            (true, _) => Sampling::AS_TRAINED,
            (false, true) => Sampling::GREEDY,
            (false, false) => Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, min_p: self.min_p },
        }
    }

    fn provenance(&self, seed: u64, panel_file: Option<&Path>, servers: Option<&RemoteGenerator>) -> Result<Provenance, CliError> {
        let mut files = match (&self.model, servers) {
            (Some(model), None) => model_folder::files(model),
            (Some(model), Some(_)) => vec![model.join("tokenizer.json")],
            (None, _) => Vec::new(),
        };
        files.extend(self.adapter.as_deref().map(model_folder::files).unwrap_or_default());
        files.extend(panel_file.map(Path::to_owned));
        let inputs: Vec<&Path> = std::iter::once(&self.tasks).chain(&files).map(PathBuf::as_path).collect();
        let sampling = self.sampling();
        let provenance = self
            .prompts
            .record(cell_tables::provenance("generate", seed, &inputs)?)
            .with_option("samples", self.samples())
            .with_option("consensus", self.consensus)
            .with_option("early_stop", self.early_stop)
            .with_option("temperature", sampling.temperature)
            .with_option("top_k", sampling.top_k)
            .with_option("top_p", sampling.top_p)
            .with_option("min_p", sampling.min_p)
            .with_option("max_new_tokens", self.max_new_tokens)
            .with_option("free", self.free);
        // Not the addresses: a run may go on with other servers, but not with another model, whether or not its name was given.
        Ok(match servers {
            Some(servers) => provenance.with_option("backend", "openai").with_option("model_name", servers.model()),
            None => provenance.with_option("weights", self.weights.format().name()),
        })
    }
}

impl TaskRow for GeneratedRecord {
    fn is_of(&self, task: &TaskRecord, _row: usize, nth: usize) -> bool {
        self.task == *task && self.sample as usize == nth
    }

    fn failed(task: &TaskRecord, _row: usize, _error: &str) -> Self {
        Self {
            task: task.clone(),
            sample: 0,
            model_prompt: String::new(),
            generated_text: String::new(),
            generated_block: String::new(),
            finish_reason: FinishReason::Error,
            n_tokens: 0,
            repairs: 0,
        }
    }
}

impl TaskFailure for GenerateError {
    fn of_all_tasks(self) -> Result<RemoteError, Self> {
        match self {
            Self::Remote { source, .. } if !source.is_about_prompt() => Ok(source),
            error => Err(error),
        }
    }
}

/// What was written.
#[derive(Default)]
struct Summary {
    cells: usize,
    tokens: u64,
    repairs: u64,
    finished: [usize; 4],
    shortened: Shortened,
}

impl Summary {
    const REASONS: [FinishReason; 4] = [FinishReason::Closed, FinishReason::Length, FinishReason::End, FinishReason::Error];

    fn of(records: &[GeneratedRecord]) -> Self {
        let mut summary = Self::default();
        summary.add(records);
        summary
    }

    fn add(&mut self, records: &[GeneratedRecord]) {
        self.cells += records.len();
        for record in records {
            self.tokens += u64::from(record.n_tokens);
            self.repairs += u64::from(record.repairs);
            for (count, reason) in self.finished.iter_mut().zip(Self::REASONS) {
                *count += usize::from(record.finish_reason == reason);
            }
        }
    }

    fn report(&self, tasks: usize) -> Report {
        let finished: serde_json::Map<String, serde_json::Value> =
            Self::REASONS.iter().zip(self.finished).map(|(reason, count)| (reason.to_string(), json!(count))).collect();
        Report::summary(json!({
            "tasks": tasks,
            "cells": self.cells,
            "finish_reason": finished,
            "tokens": self.tokens,
            "repairs": self.repairs,
            "shortened_prompts": self.shortened.prompts,
            "neighbors_left_out": self.shortened.neighbors,
        }))
    }
}
