//! `tn train`.

mod log;
mod run_folder;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tissuenarrator::io::Provenance;
use tissuenarrator::model::training::{
    Control, EpochReport, MomentFormat, Progress, Schedule, SkippedStep, StepReport, Trainer, TrainingConfig,
};
use tissuenarrator::model::{AdapterConfig, Device, Precision, Qwen3, Qwen3Config, SentenceTokenizer, TokenSequence, TokenizerOptions};
use tissuenarrator::sentence::{SentenceRecord, Vocabulary};

use self::log::TrainingLog;
use self::run_folder::RunFolder;
use super::model_options::DeviceOptions;
use super::training_data::{Corpus, SequenceOptions};
use crate::cell_tables::{self, Table};
use crate::error::{CliError, TableKind};
use crate::gene_panel;
use crate::header_fields;
use crate::interrupt::Interrupt;
use crate::model_folder::{self, LoadedModel};
use crate::progress::{Console, Task};
use crate::ranges;
use crate::report::Report;

/// Train a model on spatial sentences: from scratch, or a Hugging Face checkpoint with LoRA.
///
/// Sentences of the split `train` are learned, those of `val` tell the validation loss; without a split column all are
/// learned. The run folder gets the model (config.json, model.safetensors, tokenizer.json) or the adapter, panel.txt,
/// header.json and training.json. A run that was interrupted goes on with --resume and ends with the same weights.
#[derive(Args, Debug)]
pub(crate) struct Train {
    /// Table of sentences
    sentences: PathBuf,
    /// Run folder
    #[arg(short, long, value_name = "RUN")]
    output: PathBuf,
    /// Checkpoint to start from (config.json, safetensors, tokenizer.json)
    #[arg(long, value_name = "DIR", conflicts_with = "init")]
    base: Option<PathBuf>,
    /// Shape to train from scratch, where there is no --base [default: tiny]
    #[arg(long, value_enum, value_name = "SHAPE")]
    init: Option<Shape>,
    /// Train all weights of --base instead of LoRA adapters
    #[arg(long, requires = "base")]
    full: bool,
    /// Rank of the LoRA adapters
    #[arg(long, value_name = "R", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    lora_rank: u32,
    /// Scale of the LoRA adapters: alpha / rank
    #[arg(long, value_name = "ALPHA", default_value_t = 32.0, value_parser = ranges::positive, allow_negative_numbers = true)]
    lora_alpha: f64,
    /// Folder of the trained adapter [default: RUN/adapter]
    #[arg(long, value_name = "DIR", requires = "base", conflicts_with = "full")]
    adapter_out: Option<PathBuf>,
    /// Gene panel: one symbol a line, or an .h5ad file [default: that of the encoded file, else all genes in the sentences]
    #[arg(long, value_name = "FILE")]
    panel: Option<PathBuf>,
    /// Passes over the sentences [default: as many as --steps needs; without it, 1 from scratch, 3 from --base]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Optimizer steps; with --epochs, at most [default: as many as the epochs have]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Sequences of a micro-batch, which are held in memory side by side
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Micro-batches of an optimizer step: batch * accumulate sequences, in whatever parts the same result
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: u32,
    /// Workers that divide every batch among themselves, with the threads, or, with --device cuda:0, as many GPUs; on the processor, the
    /// same result. Each holds a micro-batch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = ranges::count())]
    workers: usize,
    /// Largest learning rate [default: 3e-3 from scratch, 2e-4 from --base]
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Share of the steps over which the learning rate rises [default: 0.05 from scratch, 0.01 from --base]
    #[arg(long, value_name = "SHARE")]
    warmup: Option<f64>,
    /// How the learning rate falls afterwards
    #[arg(long, value_enum, default_value_t = Fall::Cosine)]
    schedule: Fall,
    /// Decoupled weight decay [default: 0.1 from scratch, 0.01 from --base]
    #[arg(long, value_name = "DECAY")]
    weight_decay: Option<f64>,
    #[command(flatten)]
    sequences: SequenceOptions,
    /// Recompute activations instead of storing them: less memory, a third more time, the same result
    #[arg(long)]
    recompute: bool,
    /// How the running means of the optimizer are kept
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = MomentBits::F32)]
    moments: MomentBits,
    /// Steps between two saved states
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    /// Saved states to keep while the run goes on, the latest included
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = ranges::count())]
    keep_states: usize,
    /// Go on with the interrupted run in the run folder, if there is one
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// 4 layers of width 128, about 0.9 million parameters
    Tiny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fall {
    /// Half a cosine wave, to zero
    Cosine,
    /// A straight line, to zero
    Linear,
    /// Not at all
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MomentBits {
    /// In 32 bits
    F32,
    /// In 8 bits: a quarter of the memory, slightly other results
    EightBit,
}

impl Train {
    pub(super) fn run(&self, seed: u64, console: &Console) -> Result<Report, CliError> {
        let config = self.config(seed);
        config.validate()?;
        config.check_workers(self.workers)?;
        if let Some(base) = &self.base {
            cell_tables::check_is_no_input(&self.output, &[base])?;
        }
        let folder = RunFolder::new(&self.output);
        let table = cell_tables::read::<SentenceRecord>(&self.sentences, TableKind::Sentences)?;
        let provenance = self.provenance(seed)?;
        if let Some(finished) = folder.check(self.resume, &provenance)? {
            return Ok(finished);
        }

        let panel = self.panel(&table)?;
        let corpus = Corpus::of(&self.sentences, table)?;
        let device = self.device.open()?;
        let LoadedModel { model, tokenizer } = self.initial_model(&corpus.train, &panel, seed, &device)?;
        let mut model = model.with_context(self.sequences.max_tokens);
        let train = self.sequences.tokenize(&tokenizer, &corpus.train)?;
        let validation = self.sequences.tokenize(&tokenizer, &corpus.validation)?;
        tracing::info!(
            "{} sequences with {} tokens to learn from, {} to validate; {} parameters",
            train.sequences.len(),
            train.report.tokens,
            validation.sequences.len(),
            model.config().parameter_count()
        );

        let config = self.with_enough_epochs(config, train.sequences.len());
        let trainer = Trainer::new(config.clone())?;
        folder.start(&provenance)?;
        let mut progress = RunProgress {
            interrupt: Interrupt::watch()?,
            log: folder.log(self.resume),
            task: console.task("train", "steps", config.steps(train.sequences.len())),
            has_begun: false,
            sequences: &train.sequences,
            tokenizer: &tokenizer,
        };
        let trainer = trainer
            .with_state(folder.state_file(), self.save_every)
            .with_kept_states(self.keep_states)
            .with_micro_batch(self.batch as usize);
        let (train_on, validate_on) = (&train.sequences, &validation.sequences);
        let trained = match self.workers {
            1 => trainer.fit(&mut model, train_on, validate_on, &mut progress),
            workers => {
                let peers = self.device.open_peers(&device, workers - 1)?;
                trainer.fit_with_peers(&mut model, &peers, train_on, validate_on, &mut progress)
            }
        };
        let RunProgress { log, task, .. } = progress;
        drop(task);
        log.check()?;
        let summary = trained.inspect_err(|_| folder.remove_if_empty())?;
        if !summary.is_complete() {
            return Err(CliError::Interrupted { done: summary.steps, total: summary.planned_steps, unit: "steps" });
        }

        let saved_in = self.save(&model, &tokenizer, &panel)?;
        header_fields::write(&corpus.train, &[&saved_in, &self.output])?;
        tracing::info!("saved in {}", saved_in.display());
        let result = json!({
            "steps": summary.steps,
            "skipped_steps": summary.skipped_steps,
            "training_loss": log.last_loss(),
            "validation_loss": summary.validation_loss,
            "sequences": train.sequences.len(),
            "validation_sequences": validation.sequences.len(),
            "tokens_per_epoch": train.report.tokens,
            "dropped_sequences": train.report.dropped_chunks,
            "cut_cells": train.report.cut_cells.len(),
            "genes": panel.len(),
            "vocabulary": tokenizer.vocab_size(),
            "parameters": model.config().parameter_count(),
        });
        folder.finish(&provenance, &config, &result, &log)?;
        Ok(Report::summary(result))
    }

    fn config(&self, seed: u64) -> TrainingConfig {
        let defaults = if self.base.is_some() { TrainingConfig::default() } else { TrainingConfig::from_scratch() };
        TrainingConfig {
            epochs: self.epochs.unwrap_or(defaults.epochs),
            max_steps: self.steps,
            batch: self.batch as usize * self.accumulate as usize,
            learning_rate: self.lr.unwrap_or(defaults.learning_rate),
            warmup: self.warmup.unwrap_or(defaults.warmup),
            schedule: match self.schedule {
                Fall::Cosine => Schedule::Cosine,
                Fall::Linear => Schedule::Linear,
                Fall::Constant => Schedule::Constant,
            },
            weight_decay: self.weight_decay.unwrap_or(defaults.weight_decay),
            seed,
            recompute: self.recompute,
            moments: match self.moments {
                MomentBits::F32 => MomentFormat::F32,
                MomentBits::EightBit => MomentFormat::EightBit,
            },
            ..defaults
        }
    }

    /// Makes the epochs as many as the steps need, unless both were chosen.
    fn with_enough_epochs(&self, config: TrainingConfig, sequences: usize) -> TrainingConfig {
        let Some(steps) = self.steps else { return config };
        if let Some(epochs) = self.epochs {
            let planned = config.steps(sequences);
            if planned < steps {
                tracing::warn!("{steps} steps were asked for, {epochs} epochs have {planned}");
            }
            return config;
        }
        let of_one_epoch = TrainingConfig { epochs: 1, max_steps: None, ..config.clone() }.steps(sequences);
        let epochs = steps.div_ceil(of_one_epoch.max(1));
        TrainingConfig { epochs: u32::try_from(epochs).unwrap_or(u32::MAX), ..config }
    }

    fn panel(&self, table: &Table<SentenceRecord>) -> Result<Vocabulary, CliError> {
        let panel = match &self.panel {
            Some(path) => Some(gene_panel::read(path)?),
            None => gene_panel::of_metadata(&table.metadata)
                .or_else(|| gene_panel::of_sentences(table.rows.iter().map(|record| record.sentence.as_str()))),
        };
        panel.filter(|panel| !panel.is_empty()).ok_or(CliError::NoPanel { looked_in: Vec::new() })
    }

    fn initial_model(&self, sentences: &[String], panel: &Vocabulary, seed: u64, device: &Device) -> Result<LoadedModel, CliError> {
        let Some(base) = &self.base else {
            let tokenizer = SentenceTokenizer::train(sentences, panel, &TokenizerOptions::new())?;
            let config = match self.init.unwrap_or(Shape::Tiny) {
                Shape::Tiny => Qwen3Config::tiny(tokenizer.vocab_size()),
            };
            return Ok(LoadedModel { model: Qwen3::initialize(&config, seed, device), tokenizer });
        };
        // What is trained is kept in 32 bits, so only weights below adapters may have fewer.
        let precision = if self.full { Precision::F32 } else { Precision::of(device) };
        let loaded = model_folder::load(base, None, device, precision)?;
        if self.full {
            return Ok(loaded);
        }
        Ok(LoadedModel { model: loaded.model.with_new_adapters(&self.adapter_config(), seed), ..loaded })
    }

    fn adapter_config(&self) -> AdapterConfig {
        let config = AdapterConfig::new(self.lora_rank as usize, self.lora_alpha);
        match &self.base {
            Some(base) => config.with_base_model(base.display().to_string()),
            None => config,
        }
    }

    /// Writes the model, or its adapter, and the panel beside it. Returns the folder. Beside a model, a panel says that the tokenizer can
    /// write each of its genes; where it cannot, there is none.
    fn save(&self, model: &Qwen3, tokenizer: &SentenceTokenizer, panel: &Vocabulary) -> Result<PathBuf, CliError> {
        let folder = match (&self.base, self.full) {
            (Some(_), false) => {
                let folder = self.adapter_out.clone().unwrap_or_else(|| self.output.join("adapter"));
                model.save_adapter(&folder, &self.adapter_config())?;
                gene_panel::write(panel, &folder.join(gene_panel::FILE_NAME))?;
                folder
            }
            _ => {
                model.save(&self.output, tokenizer)?;
                self.output.clone()
            }
        };
        let has_model = folder == self.output;
        if !has_model || gene_panel::is_written_by(tokenizer, panel) {
            gene_panel::write(panel, &self.output.join(gene_panel::FILE_NAME))?;
        }
        Ok(folder)
    }

    fn provenance(&self, seed: u64) -> Result<Provenance, CliError> {
        let base_files = self.base.as_deref().map(model_folder::files).unwrap_or_default();
        let inputs: Vec<&Path> = std::iter::once(&self.sentences).chain(&self.panel).chain(&base_files).map(PathBuf::as_path).collect();
        let lora = (self.base.is_some() && !self.full).then_some((self.lora_rank, self.lora_alpha));
        let mut config: Value = serde_json::to_value(self.config(seed)).map_err(CliError::Json)?;
        if self.steps.is_some() {
            config["epochs"] = json!(self.epochs);
        }
        // An interrupted run may go on with less memory: the result is the same.
        config["recompute"] = json!(false);
        Ok(cell_tables::provenance("train", seed, &inputs)?
            .with_option("config", config)
            .with_option("max_tokens", self.sequences.max_tokens)
            .with_option("target_weight", self.sequences.target_weight)
            .with_option("without_coordinates", self.sequences.without_coordinates)
            .with_option("lora_rank", lora.map(|(rank, _)| rank))
            .with_option("lora_alpha", lora.map(|(_, alpha)| alpha)))
    }
}

/// Sequences of a step that was left out, whose beginnings are shown.
const SHOWN_SEQUENCES: usize = 3;
/// Tokens of such a beginning.
const SHOWN_TOKENS: usize = 24;

/// Shows, records and, on a signal, ends a run.
struct RunProgress<'t> {
    interrupt: Interrupt,
    log: TrainingLog,
    task: Task,
    has_begun: bool,
    sequences: &'t [TokenSequence],
    tokenizer: &'t SentenceTokenizer,
}

impl Progress for RunProgress<'_> {
    fn step(&mut self, report: &StepReport) -> Control {
        if !self.has_begun {
            self.has_begun = true;
            self.task.skip(report.step);
        }
        self.log.step(report);
        self.task.note(format!("loss {:.3}, {:.0} tokens/s", report.loss, report.tokens as f64 / report.seconds));
        self.task.advance(1);
        if self.interrupt.is_requested() || self.log.has_failed() { Control::Stop } else { Control::Continue }
    }

    fn skipped(&mut self, report: &SkippedStep) {
        for &place in report.sequences.iter().take(SHOWN_SEQUENCES) {
            let ids = &self.sequences[place].ids;
            let beginning = self.tokenizer.decode(&ids[..ids.len().min(SHOWN_TOKENS)]);
            tracing::warn!("training sequence {place} begins with {beginning:?}");
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.log.epoch(report);
    }
}
