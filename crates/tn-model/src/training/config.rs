//! The settings of a training run.

use serde::{Deserialize, Serialize};

use super::TrainError;

/// How the learning rate falls after the warm-up. It reaches zero just after the last step, so that no step is without effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Half a cosine wave.
    #[default]
    Cosine,
    /// A straight line.
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
    /// Share of the steps over which the learning rate rises linearly, rounded up to whole steps.
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

    /// Checks that so many workers can divide a batch among themselves.
    ///
    /// # Errors
    /// Returns an error when there is none, or are more than the batch has sequences.
    pub fn check_workers(&self, workers: usize) -> Result<(), TrainError> {
        let (value, expected) = (workers as f64, "at least 1, and at most the number of sequences of a step");
        match (1..=self.batch).contains(&workers) {
            true => Ok(()),
            false => Err(TrainError::InvalidSetting { name: "workers", value, expected }),
        }
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
    ///
    /// Step `i` of `w` steps of warm-up has the share `(i + 1) / w` of the largest rate. The schedules of transformers give it `i / w`, and
    /// with it a first step that learns nothing: while it warms up, a run here has the rate that transformers gives one step later, and from
    /// then on the same rate at the same step. The largest rate is used twice, at the end of the warm-up and at the beginning of the fall.
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

    /// The rates of transformers, of one run after the other.
    fn published_rates() -> Vec<serde_json::Value> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/checkpoints/schedules/expected.json");
        let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        file["cases"].as_array().unwrap().clone()
    }

    #[test]
    fn rates_are_those_of_transformers_one_step_earlier_while_they_rise() {
        let cases = published_rates();
        assert_eq!(cases.len(), 15);
        for case in cases {
            let schedule = serde_json::from_value(case["schedule"].clone()).unwrap();
            let warmup = case["warmup_share"].as_f64().unwrap();
            let config = TrainingConfig { learning_rate: 1.0, warmup, schedule, ..TrainingConfig::default() };
            let (steps, rising) = (case["steps"].as_u64().unwrap(), case["warmup_steps"].as_u64().unwrap());
            for step in 0..steps {
                let same = if step < rising { step + 1 } else { step };
                // A run that ends with its warm-up ends at the top; the step after it, transformers has already fallen.
                let wanted = if same == steps { 1.0 } else { case["rates"][same as usize].as_f64().unwrap() };
                let found = config.learning_rate_at(step, steps);
                assert!((found - wanted).abs() < 1e-12, "{schedule:?}, step {step} of {steps}: {found}, expected {wanted}");
                assert!(found > 0.0);
            }
        }
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
