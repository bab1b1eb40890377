//! The training loop.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Tensor;

use super::collective::{Alone, Collective, CollectiveError};
use super::config::TrainingConfig;
use super::device_passes::{DevicePasses, Workload};
use super::error::TrainError;
use super::labelled::{Labelled, labelled, mean_loss};
use super::optimizer::{GradientLength, StoredMoments};
use super::progress::{Control, EpochReport, Progress, SkippedStep, StepReport};
use super::shared_gradients::GradientLayout;
use super::state::{State, StateFile};
use crate::dataset::{TokenSequence, epoch_order};
use crate::device::is_gpu;
use crate::kernels::adamw::AdamWStep;
use crate::kernels::adamw::flat::{self, Clip};
use crate::kernels::host;
use crate::qwen3::{Qwen3, Trained};

/// Steps with infinite or undefined gradients in a row that end a run.
const PATIENCE: u32 = 3;
/// One in so many steps may have such gradients.
const STEPS_OF_A_SKIP: u64 = 100;

/// Bytes of gradients that sequences may hold side by side.
const GRADIENT_BYTES: usize = 2 << 30;

/// Trains decoders.
///
/// The same model, data and configuration give the same weights, bit by bit, on any number of threads, with any size of a micro-batch,
/// divided among any number of workers, and after any interruption.
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
        self.fit_as_worker(&Alone, model, train, validation, progress)
    }

    /// Trains as one of several workers, each of which has the same model and the same data. They divide every batch among themselves, add
    /// up their gradients, and make the same step: all models have the same weights afterwards, those that [`Trainer::fit`] gives where the
    /// group adds in order, as its threads do.
    ///
    /// Worker 0 saves the states, and its `progress` decides whether the run goes on; that of the others is not asked. A worker that
    /// returns an error ends the group. One that panics does not: whoever catches the panic calls [`Collective::abort`].
    ///
    /// # Errors
    /// As [`Trainer::fit`], and when another worker gave up or there are more workers than sequences in a batch.
    pub fn fit_as_worker(
        &self,
        collective: &dyn Collective,
        model: &mut Qwen3,
        train: &[TokenSequence],
        validation: &[TokenSequence],
        progress: &mut dyn Progress,
    ) -> Result<TrainingSummary, TrainError> {
        self.run(collective, model, train, validation, progress).inspect_err(|error| {
            if !matches!(error, TrainError::Workers(CollectiveError::Aborted { .. })) {
                collective.abort(&with_causes(error));
            }
        })
    }

    fn run(
        &self,
        collective: &dyn Collective,
        model: &mut Qwen3,
        train: &[TokenSequence],
        validation: &[TokenSequence],
        progress: &mut dyn Progress,
    ) -> Result<TrainingSummary, TrainError> {
        self.config.check_workers(collective.world_size())?;
        let usable: Vec<Labelled<'_>> = labelled(train, model)?;
        let validation: Vec<Labelled<'_>> = labelled(validation, model)?;
        if usable.is_empty() {
            return Err(TrainError::NothingToLearn { sequences: train.len() });
        }
        let mut run = Run::new(self, collective, model, usable)?;
        let mut state = match &self.state_file {
            Some(file) if file.path.exists() => State::load(&file.path, &run.fingerprint, model, run.trained, self.config.moments)?,
            _ => State::start(run.fingerprint.clone()),
        };
        run.check_that_all_begin_alike(&state)?;
        let steps = self.config.steps(run.train.len());
        let per_epoch = self.config.steps_per_epoch(run.train.len());
        let (mut training_loss, mut validation_loss) = (None, None);
        while state.progress.steps < steps {
            let step = state.progress.steps;
            let report = run.step(model, &mut state, step, steps, progress)?;
            training_loss = Some(report.loss);
            tracing::debug!(step, loss = report.loss, gradient_norm = report.gradient_norm, "step");
            state.progress.steps += 1;
            let control = run.control(&report, progress)?;
            let epoch_ends = state.progress.steps % per_epoch == 0 || state.progress.steps == steps;
            if epoch_ends {
                validation_loss = mean_loss(model, &validation, collective)?;
                if run.leads() {
                    let report = EpochReport { epoch: step / per_epoch, validation_loss };
                    tracing::info!(epoch = report.epoch, validation_loss, "epoch");
                    progress.epoch(&report);
                }
            }
            let save = epoch_ends || control == Control::Stop || state.progress.steps % self.save_every == 0;
            if let (true, Some(file)) = (save && run.leads(), &self.state_file) {
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
            validation_loss = mean_loss(model, &validation, collective)?;
        }
        Ok(TrainingSummary { steps: done.steps, planned_steps: steps, skipped_steps: done.skipped_steps, training_loss, validation_loss })
    }
}

pub(super) struct Run<'c, 's> {
    pub(super) config: &'c TrainingConfig,
    pub(super) collective: &'c dyn Collective,
    /// How the workers see the gradients that they add up.
    pub(super) layout: GradientLayout,
    pub(super) train: Vec<Labelled<'s>>,
    pub(super) trained: Trained,
    fingerprint: String,
    /// Sequences whose gradients are formed side by side.
    pub(super) side_by_side: usize,
    /// On a GPU, what goes through it together.
    pub(super) passes: Option<DevicePasses>,
    order: (u64, Vec<usize>),
    /// Steps left out in a row, up to the last step.
    unusable: u32,
    /// The sequences to blame for the last step that was left out.
    blamed: Vec<usize>,
}

impl<'c, 's> Run<'c, 's> {
    fn new(trainer: &'c Trainer, collective: &'c dyn Collective, model: &mut Qwen3, train: Vec<Labelled<'s>>) -> Result<Self, TrainError> {
        let Trainer { config, micro_batch, memory, .. } = trainer;
        let trained = model.trained();
        let layout = GradientLayout::of(model, trained);
        let parameters = layout.values();
        let room = GRADIENT_BYTES / (4 * parameters.max(1)) / collective.world_size();
        let side_by_side = room.clamp(1, config.batch).min(*micro_batch);
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
        let (unusable, blamed) = (0, Vec::new());
        Ok(Self { config, collective, layout, train, trained, fingerprint, side_by_side, passes, order, unusable, blamed })
    }

    /// Returns whether this worker speaks for all.
    fn leads(&self) -> bool {
        self.collective.rank() == 0
    }

    /// Compares what the workers are about to do: those of several machines may have been started on other files.
    fn check_that_all_begin_alike(&self, state: &State) -> Result<(), TrainError> {
        let bytes = self.fingerprint.bytes().map(f64::from).chain([state.progress.steps as f64]).collect();
        let all = self.collective.all_gather(bytes)?;
        match all.iter().position(|other| *other != all[0]) {
            Some(worker) => Err(CollectiveError::OtherRun { worker }.into()),
            None => Ok(()),
        }
    }

    /// Returns whether the run goes on, as worker 0 decides.
    fn control(&self, report: &StepReport, progress: &mut dyn Progress) -> Result<Control, TrainError> {
        let own = if self.leads() { progress.step(report) } else { Control::Continue };
        let stops = self.collective.all_gather(vec![f64::from(u8::from(own == Control::Stop))])?;
        Ok(if stops[0] == [1.0] { Control::Stop } else { Control::Continue })
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
        let (loss, gradients) = self.shared_gradients(model, &batch, 1.0 / weight as f32)?;
        let measured = gradients.measured_on_device();
        let norm = measured.as_ref().map_or_else(|| gradients.norm(), flat::norm);
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
            let clip = Clip { norm: self.config.clip_norm, epsilon: 1e-6 };
            let length = match &measured {
                Some(measured) => GradientLength::OnDevice(measured, clip),
                None => GradientLength::Known(clip.scale(norm)),
            };
            model.update(self.trained, &mut |name, parameter| {
                let Some(gradient) = gradients.get(name) else { return parameter };
                let moments = state.moments.remove(name).unwrap_or_else(|| StoredMoments::zeros(&parameter, self.config.moments));
                let (parameter, moments) = moments.step(parameter, gradient, &length, &constants);
                state.moments.insert(name.to_owned(), moments);
                parameter
            });
        } else {
            state.progress.skipped_steps += 1;
            let parameter = gradients.iter().find(|(_, gradient)| !is_finite(gradient)).map(|(name, _)| name.to_owned());
            let sequences = if self.leads() { self.blame(model, &batch)? } else { Vec::new() };
            let report = SkippedStep { step, loss, gradient_norm: norm, sequences, parameter };
            self.leave_out(report, steps, state.progress.skipped_steps, progress)?;
        }
        Ok(StepReport { step, steps, loss, gradient_norm: norm, learning_rate, tokens, seconds: start.elapsed().as_secs_f64() })
    }

    /// Reports a step that is left out, and ends the run when there are too many.
    fn leave_out(&mut self, report: SkippedStep, steps: u64, skipped: u64, progress: &mut dyn Progress) -> Result<(), TrainError> {
        if self.leads() {
            let SkippedStep { step, loss, gradient_norm, sequences, parameter } = &report;
            tracing::warn!(step, loss, gradient_norm, parameter, ?sequences, "loss or gradients are not finite; the step is left out");
            progress.skipped(&report);
        }
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
    fn blame(&mut self, model: &Qwen3, batch: &[usize]) -> Result<Vec<usize>, TrainError> {
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
}

/// Returns the message of an error and of all that caused it.
fn with_causes(error: &TrainError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_finite(gradient: &Tensor<2>) -> bool {
    host::to_vec(gradient).iter().all(|value| value.is_finite())
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
