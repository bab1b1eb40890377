//! The settings of a training run.

use serde::{Deserialize, Serialize};

use super::TrainError;

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Half a cosine wave, to zero at the last step.
    #[default]
    Cosine,
    /// A straight line, to zero at the last step.
    Linear,
    /// Not at all.
    Constant,
}

/// How AdamW keeps its running means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MomentFormat {
    /// In 32 bits.
    #[default]
    F32,
    /// In eight bits, a quarter of the memory; tensors of fewer than 4,096 values keep 32.
    EightBit,
}

/// The settings of a training run. The defaults are the published ones, for LoRA on a large model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// Passes over the training sequences.
    pub epochs: u32,
    /// Ends the run after this many optimiser steps, even inside an epoch. The schedule ends there too.
    pub max_steps: Option<u64>,
    /// Sequences of one optimiser step: micro-batch times accumulation. The loss is normalised by the weights of the labels of all of them, so
    /// how they are split makes no difference.
    pub batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Share of the steps over which the learning rate rises linearly from zero.
    pub warmup: f64,
    /// How the learning rate falls afterwards.
    pub schedule: Schedule,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Decay of AdamW's mean of squared gradients.
    pub beta2: f64,
    /// Gradients whose norm exceeds this are scaled down to it.
    pub clip_norm: f64,
    /// Seed of the order of the sequences.
    pub seed: u64,
    /// Recompute blocks in the backward pass instead of storing their activations. This changes no bit of the result.
    pub recompute: bool,
    /// How AdamW keeps its running means.
    #[serde(default)]
    pub moments: MomentFormat,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 3,
            max_steps: None,
            batch: 8,
            learning_rate: 2e-4,
            warmup: 0.01,
            schedule: Schedule::Cosine,
            weight_decay: 0.01,
            beta2: 0.999,
            clip_norm: 1.0,
            seed: 3407,
            recompute: false,
            moments: MomentFormat::F32,
        }
    }
}

impl TrainingConfig {
    /// Settings that suit a small decoder trained from scratch: a larger learning rate, a longer warm-up, stronger decay.
    #[must_use]
    pub fn from_scratch() -> Self {
        Self { learning_rate: 3e-3, warmup: 0.05, weight_decay: 0.1, beta2: 0.98, epochs: 1, ..Self::default() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// An error names the first setting that lies outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let check = |name, value: f64, ok: bool, expected| match ok {
            true => Ok(()),
            false => Err(TrainError::InvalidSetting { name, value, expected }),
        };
        check("epochs", f64::from(self.epochs), self.epochs > 0, "at least 1")?;
        check("max_steps", self.max_steps.unwrap_or(1) as f64, self.max_steps != Some(0), "at least 1")?;
        check("batch", self.batch as f64, self.batch > 0, "at least 1")?;
        check("learning_rate", self.learning_rate, self.learning_rate > 0.0 && self.learning_rate.is_finite(), "above 0")?;
        check("warmup", self.warmup, (0.0..=1.0).contains(&self.warmup), "between 0 and 1")?;
        check("weight_decay", self.weight_decay, (0.0..1.0).contains(&self.weight_decay), "at least 0 and below 1")?;
        check("beta2", self.beta2, self.beta2 > 0.0 && self.beta2 < 1.0, "between 0 and 1")?;
        check("clip_norm", self.clip_norm, self.clip_norm > 0.0, "above 0")
    }

    /// Returns the number of optimiser steps over `sequences` sequences.
    #[must_use]
    pub fn steps(&self, sequences: usize) -> u64 {
        let steps = u64::from(self.epochs) * self.steps_per_epoch(sequences);
        self.max_steps.map_or(steps, |most| most.min(steps))
    }

    pub(crate) fn steps_per_epoch(&self, sequences: usize) -> u64 {
        sequences.div_ceil(self.batch) as u64
    }

    /// Returns the learning rate of a step, counted from 0, of a run of `steps` steps.
    #[must_use]
    pub fn learning_rate_at(&self, step: u64, steps: u64) -> f64 {
        let warmup = (self.warmup * steps as f64).ceil();
        let done = step as f64;
        if done < warmup {
            return self.learning_rate * (done + 1.0) / warmup;
        }
        let share = (done - warmup) / (steps as f64 - warmup).max(1.0);
        self.learning_rate
            * match self.schedule {
                Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
                Schedule::Linear => 1.0 - share,
                Schedule::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_and_falls() {
        let config = TrainingConfig { learning_rate: 1.0, warmup: 0.1, ..TrainingConfig::default() };
        let at = |step| config.learning_rate_at(step, 100);
        assert_eq!(at(0), 0.1);
        assert_eq!(at(9), 1.0);
        assert_eq!(at(10), 1.0);
        assert!((at(55) - 0.5).abs() < 1e-12);
        assert!(at(99) > 0.0 && at(99) < 0.001);
        let linear = TrainingConfig { schedule: Schedule::Linear, ..config.clone() };
        assert!((linear.learning_rate_at(55, 100) - 0.5).abs() < 1e-12);
        let constant = TrainingConfig { schedule: Schedule::Constant, ..config };
        assert_eq!(constant.learning_rate_at(99, 100), 1.0);
    }

    #[test]
    fn a_partial_batch_is_a_step() {
        let config = TrainingConfig { epochs: 2, batch: 8, ..TrainingConfig::default() };
        assert_eq!(config.steps(17), 6);
        assert_eq!(TrainingConfig { max_steps: Some(4), ..config }.steps(17), 4);
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let check = |config: TrainingConfig, name: &str| {
            assert!(config.validate().unwrap_err().to_string().starts_with(name), "{config:?}");
        };
        check(TrainingConfig { batch: 0, ..TrainingConfig::default() }, "batch");
        check(TrainingConfig { learning_rate: f64::NAN, ..TrainingConfig::default() }, "learning_rate");
        check(TrainingConfig { beta2: 1.0, ..TrainingConfig::default() }, "beta2");
        assert!(TrainingConfig::default().validate().is_ok());
    }
}
