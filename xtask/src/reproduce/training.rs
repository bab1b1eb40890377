//! From cells to a trained decoder.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tissuenarrator::model::training::{Control, Progress, StepReport, Trainer, TrainingConfig};
use tissuenarrator::model::{Device, Qwen3, Qwen3Config, SentenceTokenizer, TokenSequence, TokenizerOptions};
use tissuenarrator::prelude::*;
use tissuenarrator::spatial::Neighborhoods;

use super::plan::Plan;
use super::run_folder::RunFolder;
use super::tissue::Tissue;

/// Steps after which the state of the training is saved.
pub(super) const SAVE_EVERY: u64 = 50;
/// Tokens for which rotations are prepared once; longer texts work as well.
pub(super) const PREPARED_CONTEXT: usize = 4_096;

/// A trained decoder and its tokenizer.
pub(super) struct Trained {
    pub(super) model: Qwen3,
    pub(super) tokenizer: SentenceTokenizer,
    pub(super) summary: TrainingSummary,
}

/// What was trained, for the report.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TrainingSummary {
    pub(super) parameters: usize,
    pub(super) vocabulary: usize,
    pub(super) sentences: usize,
    pub(super) tokens: usize,
    pub(super) steps: u64,
    /// Mean loss of the last step, in nats a token.
    pub(super) training_loss: Option<f64>,
    /// Mean loss of the validation sentences at the end, in nats a token.
    pub(super) validation_loss: Option<f64>,
}

/// Writes the spatial sentences of the training: cells spread evenly over the split, each with its neighbors, itself last.
pub(super) fn sentences(folder: &mut RunFolder, tissue: &Tissue, plan: &Plan, seed: u64) -> Result<Vec<SentenceRecord>> {
    folder.stage("patch", |folder| {
        folder.table("sentences.parquet", || {
            let mut sentences = training_sentences(tissue, |_| true, plan.training.steps, plan, seed)?;
            let validation = tissue.split("val");
            let rows = evenly(validation.len(), plan.training.validation_sentences);
            sentences.extend(neighborhoods(&validation, rows, plan, seed));
            Ok(sentences)
        })
    })
}

/// Writes neighborhoods of the training cells that are wanted as targets, as many as the steps take, from several draws of the order of
/// equally expressed genes.
pub(super) fn training_sentences(
    tissue: &Tissue,
    is_target: impl Fn(&CellRecord) -> bool,
    steps: u64,
    plan: &Plan,
    seed: u64,
) -> Result<Vec<SentenceRecord>> {
    let wanted = usize::try_from(steps)? * plan.training.batch;
    let targets: Vec<usize> = tissue.split("train").iter().enumerate().filter(|(_, cell)| is_target(cell)).map(|(row, _)| row).collect();
    ensure!(!targets.is_empty(), "the training split has no cell to learn");
    let draws = plan.training.tie_draws.max(wanted.div_ceil(targets.len()));
    let chosen = evenly(targets.len() * draws, wanted);
    let mut sentences = Vec::with_capacity(wanted);
    for draw in 0..draws {
        let cells = tissue.split_drawn_again("train", draw as u64, seed)?;
        let rows = chosen.iter().filter(|&&place| place / targets.len() == draw).map(|place| targets[place % targets.len()]).collect();
        sentences.extend(neighborhoods(&cells, rows, plan, seed.wrapping_add(draw as u64)));
    }
    ensure!(!sentences.is_empty(), "the training split has no cell with neighbors");
    Ok(sentences)
}

/// Writes the neighborhoods of some cells.
fn neighborhoods(cells: &[CellRecord], rows: Vec<usize>, plan: &Plan, seed: u64) -> Vec<SentenceRecord> {
    let options = PatchOptions::default()
        .with_truncate(plan.genes)
        .with_meta(plan.metadata.iter().copied())
        .with_min_cells(2)
        .with_repeats(1)
        .with_seed(seed);
    let neighborhoods = Neighborhoods::new(cells, Neighborhood::default().with_max_cells(plan.neighbors), &options);
    rows.into_par_iter().flat_map_iter(|row| neighborhoods.write(row..row + 1)).collect()
}

/// Returns `wanted` of `n` places, spread evenly.
pub(super) fn evenly(n: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(n);
    (0..wanted).map(|i| i * n / wanted).collect()
}

/// Trains a tokenizer and a small decoder from scratch; an interrupted training goes on where it stopped.
pub(super) fn train(
    folder: &mut RunFolder,
    sentences: &[SentenceRecord],
    panel: &Vocabulary,
    plan: &Plan,
    seed: u64,
    device: &Device,
) -> Result<Trained> {
    folder
        .stage("train", |folder| {
            let model_folder = folder.file("model");
            if let Some(summary) = folder.read_json("training.json") {
                let (model, tokenizer) = (Qwen3::load(&model_folder, device)?, SentenceTokenizer::load(&model_folder)?);
                return Ok(Trained { model: model.with_context(PREPARED_CONTEXT), tokenizer, summary });
            }
            let text = |split: &str| -> Vec<&str> {
                sentences.iter().filter(|record| record.split == split).map(|record| record.sentence.as_str()).collect()
            };
            let (train, validation) = (text("train"), text("val"));
            let corpus = evenly(train.len(), plan.training.tokenizer_sentences).into_iter().map(|i| train[i]);
            let tokenizer = SentenceTokenizer::train(corpus, panel, &TokenizerOptions::new())?;
            let encode = |text: &&str| TokenSequence::encode_neighborhood(&tokenizer, text, plan.training.target_weight);
            let train: Vec<TokenSequence> = train.par_iter().map(encode).collect();
            let validation: Vec<TokenSequence> = validation.par_iter().map(encode).collect();

            let shape = Qwen3Config { rope_theta: plan.training.rope_theta, ..Qwen3Config::tiny(tokenizer.vocab_size()) };
            let mut model = Qwen3::initialize(&shape, seed, device).with_context(PREPARED_CONTEXT);
            let config = TrainingConfig {
                max_steps: Some(plan.training.steps),
                batch: plan.training.batch,
                learning_rate: plan.training.learning_rate,
                seed,
                ..TrainingConfig::from_scratch()
            };
            let trainer = Trainer::new(config)?.with_state(folder.file("training-state.safetensors"), SAVE_EVERY);
            let done = trainer.fit(&mut model, &train, &validation, &mut ProgressLine::start())?;
            model.save(&model_folder, &tokenizer)?;
            let symbols: String = panel.iter().map(|symbol| format!("{symbol}\n")).collect();
            folder.write("model/panel.txt", symbols.as_bytes())?;
            let summary = TrainingSummary {
                parameters: shape.parameter_count(),
                vocabulary: tokenizer.vocab_size(),
                sentences: train.len(),
                tokens: train.iter().map(TokenSequence::len).sum(),
                steps: done.steps,
                training_loss: done.training_loss,
                validation_loss: done.validation_loss,
            };
            folder.write_json("training.json", &summary)?;
            folder.remove("training-state.safetensors")?;
            Ok(Trained { model, tokenizer, summary })
        })
        .context("training")
}

/// A line on stderr every few seconds.
pub(super) struct ProgressLine {
    start: Instant,
    last: Instant,
    first_step: Option<u64>,
    tokens: usize,
}

impl ProgressLine {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), last: Instant::now(), first_step: None, tokens: 0 }
    }
}

impl Progress for ProgressLine {
    fn step(&mut self, report: &StepReport) -> Control {
        let first = *self.first_step.get_or_insert(report.step);
        self.tokens += report.tokens;
        if self.last.elapsed() > Duration::from_secs(10) || report.step + 1 == report.steps {
            self.last = Instant::now();
            let seconds = self.start.elapsed().as_secs_f64();
            let left = seconds / (report.step + 1 - first) as f64 * (report.steps - report.step - 1) as f64;
            let (step, steps, rate) = (report.step + 1, report.steps, self.tokens as f64 / seconds);
            eprintln!("  step {step}/{steps}, loss {:.3}, {rate:.0} tokens/s, {left:.0} s left", report.loss);
        }
        Control::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_places_are_spread_evenly() {
        assert_eq!(evenly(10, 5), [0, 2, 4, 6, 8]);
        assert_eq!(evenly(3, 9), [0, 1, 2]);
        assert_eq!(evenly(0, 4), [0; 0]);
    }
}
