//! The training loop.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::config::TrainingConfig;
use super::device_passes::{DevicePasses, Workload};
use super::error::TrainError;
use super::optimizer::StoredMoments;
use super::progress::{Control, EpochReport, Progress, SkippedStep, StepReport};
use super::state::{State, StateFile};
use crate::dataset::{TokenSequence, epoch_order};
use crate::device::is_gpu;
use crate::kernels::adamw::AdamWStep;
use crate::kernels::host;
use crate::qwen3::{Gradients, Keep, Pack, Qwen3, SequenceLoss, Trained};

/// Steps with infinite or undefined gradients in a row that end a run.
const PATIENCE: u32 = 3;
/// One in so many steps may have such gradients.
const STEPS_OF_A_SKIP: u64 = 100;

/// Bytes of gradients that sequences may hold side by side.
const GRADIENT_BYTES: usize = 2 << 30;

/// Trains decoders.
///
/// The same model, data and configuration give the same weights, bit by bit, on any number of threads, with any size of a micro-batch, and
/// after any interruption.
///
/// There is no padding, and no attention from one sequence to another. On a processor, whose kernels work on rows, every sequence is run by
/// itself; on a GPU, several are packed into one pass, as many as its memory allows ([`MemoryPlan`](super::MemoryPlan)). A pass for which
/// there is not enough memory after all is tried again with less: the batch stays what it is.
///
/// A step whose loss or gradients are not finite is left out: weights and moments stay, and it is counted and reported with the sequences
/// that are to blame. Three in a row, or more than one
/// in a hundred steps (and more than three), end the run with an error; a saved state stays as it was.
#[derive(Clone, Debug)]
pub struct Trainer {
    config: TrainingConfig,
    state_file: Option<StateFile>,
    save_every: u64,
    micro_batch: usize,
    memory: Option<u64>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSummary {
    /// Optimiser steps done, over all parts of an interrupted run.
    pub steps: u64,
    /// Steps of the whole run; more than `steps` when the run was stopped.
    pub planned_steps: u64,
    /// Steps left out because their gradients were not finite.
    pub skipped_steps: u64,
    /// Mean loss of the last step done now, by the weights of its labels, in nats.
    pub training_loss: Option<f64>,
    /// Mean loss of the labelled tokens of the validation sequences at the end, without weights, in nats.
    pub validation_loss: Option<f64>,
}

impl TrainingSummary {
    /// Returns whether the run reached its last step.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps == self.planned_steps
    }
}

impl Trainer {
    /// Builds a trainer.
    ///
    /// # Errors
    /// Returns an error when a setting lies outside its range.
    pub fn new(config: TrainingConfig) -> Result<Self, TrainError> {
        config.validate()?;
        Ok(Self { config, state_file: None, save_every: 500, micro_batch: usize::MAX, memory: None })
    }

    /// Saves the state of the run to a file every `steps` steps, at the end of each epoch and when it is stopped. A run that finds such a
    /// file goes on from there.
    #[must_use]
    pub fn with_state(mut self, file: impl Into<PathBuf>, steps: u64) -> Self {
        self.state_file = Some(StateFile { path: file.into(), kept: 1 });
        self.save_every = steps.max(1);
        self
    }

    /// Keeps the last `states` saved states beside the state file, numbered by their step (`state.step-00000120.safetensors`); 1, the
    /// default, keeps the state file alone. That one is always the latest, and replaced last. To go back, copy another one over it.
    ///
    /// Without [`Trainer::with_state`], this does nothing.
    #[must_use]
    pub fn with_kept_states(mut self, states: usize) -> Self {
        if let Some(file) = &mut self.state_file {
            file.kept = states.max(1);
        }
        self
    }

    /// Runs at most `sequences` sequences of a batch side by side, to hold the activations and gradients of no more; the gradients of a
    /// batch are added up over several such micro-batches. This changes no bit of the result.
    #[must_use]
    pub fn with_micro_batch(mut self, sequences: usize) -> Self {
        self.micro_batch = sequences.max(1);
        self
    }

    /// On a GPU, plans with so many bytes of memory instead of what the device has.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Trains the adapters of the model, or all its weights when it has none.
    ///
    /// # Errors
    /// Returns an error when there is nothing to learn, a token does not exist in the model, the run diverges, or its state cannot be
    /// read or written.
    pub fn fit(
        &self,
        model: &mut Qwen3,
        train: &[TokenSequence],
        validation: &[TokenSequence],
        progress: &mut dyn Progress,
    ) -> Result<TrainingSummary, TrainError> {
        let usable: Vec<Labelled<'_>> = labelled(train, model)?;
        let validation: Vec<Labelled<'_>> = labelled(validation, model)?;
        if usable.is_empty() {
            return Err(TrainError::NothingToLearn { sequences: train.len() });
        }
        let mut run = Run::new(self, model, usable)?;
        let mut state = match &self.state_file {
            Some(file) if file.path.exists() => State::load(&file.path, &run.fingerprint, model, run.trained, self.config.moments)?,
            _ => State::start(run.fingerprint.clone()),
        };
        let steps = self.config.steps(run.train.len());
        let per_epoch = self.config.steps_per_epoch(run.train.len());
        let (mut training_loss, mut validation_loss) = (None, None);
        while state.progress.steps < steps {
            let step = state.progress.steps;
            let report = run.step(model, &mut state, step, steps, progress)?;
            training_loss = Some(report.loss);
            tracing::debug!(step, loss = report.loss, gradient_norm = report.gradient_norm, "step");
            state.progress.steps += 1;
            let control = progress.step(&report);
            let epoch_ends = state.progress.steps % per_epoch == 0 || state.progress.steps == steps;
            if epoch_ends {
                validation_loss = mean_loss(model, &validation);
                let report = EpochReport { epoch: step / per_epoch, validation_loss };
                tracing::info!(epoch = report.epoch, validation_loss, "epoch");
                progress.epoch(&report);
            }
            let save = epoch_ends || control == Control::Stop || state.progress.steps % self.save_every == 0;
            if let (true, Some(file)) = (save, &self.state_file) {
                state.save(file, model, run.trained)?;
            }
            if control == Control::Stop {
                break;
            }
        }
        let done = state.progress;
        if run.unusable > 0 {
            return Err(TrainError::Diverged { step: done.steps - 1, times: run.unusable, sequences: run.blamed });
        }
        if validation_loss.is_none() {
            validation_loss = mean_loss(model, &validation);
        }
        Ok(TrainingSummary { steps: done.steps, planned_steps: steps, skipped_steps: done.skipped_steps, training_loss, validation_loss })
    }
}

/// A sequence with the token that should follow each token.
struct Labelled<'s> {
    /// Its place among the sequences that were given.
    place: usize,
    ids: &'s [u32],
    targets: Vec<Option<u32>>,
    weights: Vec<f32>,
}

impl Labelled<'_> {
    fn labels(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    /// Returns the weights, multiplied with `scale`.
    fn scaled_weights(&self, scale: f32) -> Vec<f32> {
        self.weights.iter().map(|weight| weight * scale).collect()
    }

    /// Returns the sum of the weights of the labels.
    fn weight(&self) -> f64 {
        self.targets.iter().zip(&self.weights).filter(|(target, _)| target.is_some()).map(|(_, &weight)| f64::from(weight)).sum()
    }
}

/// Shifts labels to the token before, and leaves out sequences without any that counts.
fn labelled<'s>(sequences: &'s [TokenSequence], model: &Qwen3) -> Result<Vec<Labelled<'s>>, TrainError> {
    let vocabulary = model.config().vocab_size;
    let foreign = sequences.iter().flat_map(|sequence| &sequence.ids).find(|&&id| id as usize >= vocabulary);
    if let Some(&token) = foreign {
        return Err(TrainError::TokenOutsideVocabulary { token, vocabulary });
    }
    let usable = |weight: &&f32| (0.0..=TokenSequence::LARGEST_WEIGHT).contains(*weight);
    if let Some(&weight) = sequences.iter().flat_map(|sequence| &sequence.weights).find(|weight| !usable(weight)) {
        let expected = "at least 0 and at most 1000000";
        return Err(TrainError::InvalidSetting { name: "label weight", value: f64::from(weight), expected });
    }
    let shift = |(place, sequence): (usize, &'s TokenSequence)| {
        let targets = sequence.labels.iter().skip(1).map(|&label| u32::try_from(label).ok()).chain([None]).collect();
        let weights = sequence.weights.iter().skip(1).copied().chain([0.0]).collect();
        Labelled { place, ids: &sequence.ids, targets, weights }
    };
    Ok(sequences.iter().enumerate().map(shift).filter(|sequence| sequence.weight() > 0.0).collect())
}

struct Run<'c, 's> {
    config: &'c TrainingConfig,
    train: Vec<Labelled<'s>>,
    trained: Trained,
    fingerprint: String,
    /// Sequences whose gradients are formed side by side.
    side_by_side: usize,
    /// On a GPU, what goes through it together.
    passes: Option<DevicePasses>,
    order: (u64, Vec<usize>),
    /// Steps left out in a row, up to the last step.
    unusable: u32,
    /// The sequences to blame for the last step that was left out.
    blamed: Vec<usize>,
}

impl<'c, 's> Run<'c, 's> {
    fn new(trainer: &'c Trainer, model: &mut Qwen3, train: Vec<Labelled<'s>>) -> Result<Self, TrainError> {
        let Trainer { config, micro_batch, memory, .. } = trainer;
        let trained = model.trained();
        let mut parameters = 0;
        model.update(trained, &mut |_, tensor| {
            parameters += tensor.dims().iter().product::<usize>();
            tensor
        });
        let side_by_side = (GRADIENT_BYTES / (4 * parameters.max(1))).clamp(1, config.batch).min(*micro_batch);
        let passes = match is_gpu(&model.device()) {
            true => {
                let longest = train.iter().map(|sequence| sequence.ids.len()).max().unwrap_or(1);
                let load = Workload { longest, micro_batch: *micro_batch, memory: *memory };
                Some(DevicePasses::choose(model, trained, config, &load)?)
            }
            false => None,
        };
        let fingerprint = fingerprint(config, &train, parameters, model);
        let order = (0, epoch_order(train.len(), config.seed, 0));
        Ok(Self { config, train, trained, fingerprint, side_by_side, passes, order, unusable: 0, blamed: Vec::new() })
    }

    fn step(
        &mut self,
        model: &mut Qwen3,
        state: &mut State,
        step: u64,
        steps: u64,
        progress: &mut dyn Progress,
    ) -> Result<StepReport, TrainError> {
        let start = Instant::now();
        let batch = self.batch(step);
        let weight: f64 = batch.iter().map(|&i| self.train[i].weight()).sum();
        let tokens = batch.iter().map(|&i| self.train[i].ids.len()).sum();
        let (loss, gradients) = self.gradients(model, &batch, 1.0 / weight as f32)?;
        let norm = gradients.norm();
        let learning_rate = self.config.learning_rate_at(step, steps);
        if loss.is_finite() && norm.is_finite() {
            self.unusable = 0;
            let constants = AdamWStep {
                learning_rate,
                beta1: 0.9,
                beta2: self.config.beta2,
                epsilon: 1e-8,
                weight_decay: self.config.weight_decay,
                step: step + 1 - state.progress.skipped_steps,
            };
            let scale = (self.config.clip_norm / (norm + 1e-6)).min(1.0) as f32;
            model.update(self.trained, &mut |name, parameter| {
                let Some(gradient) = gradients.get(name) else { return parameter };
                let moments = state.moments.remove(name).unwrap_or_else(|| StoredMoments::zeros(&parameter, self.config.moments));
                let (parameter, moments) = moments.step(parameter, gradient, scale, &constants);
                state.moments.insert(name.to_owned(), moments);
                parameter
            });
        } else {
            state.progress.skipped_steps += 1;
            let parameter = gradients.iter().find(|(_, gradient)| !is_finite(gradient)).map(|(name, _)| name.to_owned());
            let report = SkippedStep { step, loss, gradient_norm: norm, sequences: self.to_blame(model, &batch)?, parameter };
            self.leave_out(report, steps, state.progress.skipped_steps, progress)?;
        }
        Ok(StepReport { step, steps, loss, gradient_norm: norm, learning_rate, tokens, seconds: start.elapsed().as_secs_f64() })
    }

    /// Reports a step that is left out, and ends the run when there are too many.
    fn leave_out(&mut self, report: SkippedStep, steps: u64, skipped: u64, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let SkippedStep { step, loss, gradient_norm, sequences, parameter } = &report;
        tracing::warn!(step, loss, gradient_norm, parameter, ?sequences, "loss or gradients are not finite; the step is left out");
        progress.skipped(&report);
        self.unusable += 1;
        let limit = (steps / STEPS_OF_A_SKIP).max(u64::from(PATIENCE));
        if self.unusable == PATIENCE {
            return Err(TrainError::Diverged { step: report.step, times: self.unusable, sequences: report.sequences });
        }
        if skipped > limit {
            return Err(TrainError::TooManySkipped { step: report.step, skipped, limit, sequences: report.sequences });
        }
        self.blamed = report.sequences;
        Ok(())
    }

    /// Returns the places of the sequences of a batch whose own loss or gradients are not finite, or of all where each by itself is.
    fn to_blame(&mut self, model: &Qwen3, batch: &[usize]) -> Result<Vec<usize>, TrainError> {
        let mut alone = Vec::new();
        for &i in batch {
            let (loss, gradients) = self.gradients(model, &[i], 1.0 / self.train[i].weight() as f32)?;
            if !(loss.is_finite() && gradients.norm().is_finite()) {
                alone.push(i);
            }
        }
        let blamed = if alone.is_empty() { batch } else { &alone };
        Ok(blamed.iter().map(|&i| self.train[i].place).collect())
    }

    /// Returns the sequences of a step.
    fn batch(&mut self, step: u64) -> Vec<usize> {
        let per_epoch = self.config.steps_per_epoch(self.train.len());
        let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
        if self.order.0 != epoch {
            self.order = (epoch, epoch_order(self.train.len(), self.config.seed, epoch));
        }
        let first = within * self.config.batch;
        self.order.1[first..(first + self.config.batch).min(self.order.1.len())].to_vec()
    }

    /// Returns the loss and the gradients, added up in the order of the batch; all weights are multiplied with `scale`.
    fn gradients(&mut self, model: &Qwen3, batch: &[usize], scale: f32) -> Result<(f64, Gradients), TrainError> {
        match &mut self.passes {
            Some(passes) => packed_gradients(model, &self.train, batch, scale, self.trained, passes),
            None => Ok(self.gradients_side_by_side(model, batch, scale)),
        }
    }

    fn gradients_side_by_side(&self, model: &Qwen3, batch: &[usize], scale: f32) -> (f64, Gradients) {
        let keep = if self.config.recompute { Keep::Input } else { Keep::Everything };
        let (mut sum, mut gradients) = (0.0, Gradients::new());
        for group in batch.chunks(self.side_by_side) {
            let losses: Vec<SequenceLoss> = group
                .par_iter()
                .map(|&i| &self.train[i])
                .map(|sequence| {
                    model.loss_and_gradients(sequence.ids, &sequence.targets, &sequence.scaled_weights(scale), self.trained, keep)
                })
                .collect();
            for loss in losses {
                sum += loss.sum;
                gradients.merge(loss.gradients);
            }
        }
        (sum, gradients)
    }
}

/// Returns the loss and the gradients of a batch by packed passes. A pass for which the device has not enough memory is tried again with
/// less; what it had computed is dropped.
fn packed_gradients(
    model: &Qwen3,
    train: &[Labelled<'_>],
    batch: &[usize],
    scale: f32,
    trained: Trained,
    passes: &mut DevicePasses,
) -> Result<(f64, Gradients), TrainError> {
    let (mut sum, mut gradients, mut done) = (0.0, Gradients::new(), 0);
    while done < batch.len() {
        let group = &batch[done..(done + passes.sequences).min(batch.len())];
        let mut pack = Pack::default();
        for sequence in group.iter().map(|&i| &train[i]) {
            pack.push(sequence.ids, &sequence.targets, &sequence.scaled_weights(scale));
        }
        let loss = model.loss_and_gradients_of(&pack, trained, &passes.options);
        if let Some(reason) = loss.gradients.failure() {
            drop(loss);
            model.device().memory_cleanup();
            if !passes.lower() {
                return Err(TrainError::Device { reason });
            }
            continue;
        }
        sum += loss.sum;
        gradients.merge(loss.gradients);
        done += group.len();
    }
    Ok((sum, gradients))
}

fn is_finite(gradient: &Tensor<2>) -> bool {
    host::to_vec(gradient).iter().all(|value| value.is_finite())
}

/// Returns the mean loss of the labelled tokens, `None` when there are none.
fn mean_loss(model: &Qwen3, sequences: &[Labelled<'_>]) -> Option<f64> {
    let labels: usize = sequences.iter().map(Labelled::labels).sum();
    let loss = |sequence: &Labelled<'_>| model.loss(sequence.ids, &sequence.targets);
    // One after the other on a GPU, which is busy with one sequence.
    let sums: Vec<f64> = match is_gpu(&model.device()) {
        true => sequences.iter().map(loss).collect(),
        false => sequences.par_iter().map(loss).collect(),
    };
    (labels > 0).then(|| sums.iter().sum::<f64>() / labels as f64)
}

/// Hashes what a run depends on: settings, data and the weights that it starts from (FNV-1a, 64 bits). Whether blocks are computed again
/// is no such thing.
fn fingerprint(config: &TrainingConfig, train: &[Labelled<'_>], parameters: usize, model: &Qwen3) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |bytes: &[u8]| bytes.iter().for_each(|&b| hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let config = TrainingConfig { recompute: false, ..config.clone() };
    add(serde_json::to_string(&config).expect("plain settings can be written").as_bytes());
    add(&parameters.to_le_bytes());
    add(&model.weight_hash().to_le_bytes());
    for sequence in train {
        sequence.ids.iter().for_each(|id| add(&id.to_le_bytes()));
        sequence.targets.iter().for_each(|target| add(&target.map_or(u32::MAX, |t| t).to_le_bytes()));
        sequence.weights.iter().for_each(|weight| add(&weight.to_le_bytes()));
    }
    format!("{hash:016x}")
}
