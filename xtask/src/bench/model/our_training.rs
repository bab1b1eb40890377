//! Training on our side, a step at a time.

use std::path::Path;

use anyhow::{Context, Result};
use tissuenarrator::model::training::{Control, Progress, Schedule, StepReport, Trainer, TrainingConfig};
use tissuenarrator::model::{Device, Qwen3, TokenSequence};

/// The settings of AdamW, which the peer is told.
pub(super) const LEARNING_RATE: f64 = 1e-4;
pub(super) const WEIGHT_DECAY: f64 = 0.01;
pub(super) const CLIP_NORM: f64 = 1.0;

/// A model and the sequences of its step.
pub(super) struct OurTraining {
    model: Qwen3,
    sequences: Vec<TokenSequence>,
    trainer: Trainer,
}

/// Keeps the report of a step.
#[derive(Default)]
struct LastStep(Option<StepReport>);

impl Progress for LastStep {
    fn step(&mut self, report: &StepReport) -> Control {
        self.0 = Some(*report);
        Control::Continue
    }
}

impl OurTraining {
    /// Loads a checkpoint and, where only an adapter is trained, that.
    pub(super) fn load(folder: &Path, adapter: Option<&Path>, sequences: &[Vec<u32>], recompute: bool) -> Result<Self> {
        let base = Qwen3::load(folder, &Device::flex())?;
        let model = match adapter {
            Some(adapter) => base.with_adapter(adapter)?,
            None => base,
        };
        let length = sequences.iter().map(Vec::len).max().unwrap_or(0);
        let sequence = |ids: &Vec<u32>| TokenSequence::new(ids.clone(), ids.iter().map(|&id| id as i32).collect());
        let config = TrainingConfig {
            max_steps: Some(1),
            batch: sequences.len(),
            learning_rate: LEARNING_RATE,
            warmup: 0.0,
            schedule: Schedule::Constant,
            weight_decay: WEIGHT_DECAY,
            clip_norm: CLIP_NORM,
            recompute,
            ..TrainingConfig::default()
        };
        let sequences = sequences.iter().map(sequence).collect();
        Ok(Self { model: model.with_context(length), sequences, trainer: Trainer::new(config)? })
    }

    /// Makes a step with fresh moments: forward, backward, clipping, AdamW.
    pub(super) fn step(&mut self) -> Result<StepReport> {
        let mut last = LastStep::default();
        self.trainer.fit(&mut self.model, &self.sequences, &[], &mut last)?;
        last.0.context("the training made no step")
    }
}
