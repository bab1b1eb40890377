//! The gradients of a batch, as one worker forms them.

use rayon::prelude::*;

use super::device_passes::DevicePasses;
use super::error::TrainError;
use super::labelled::Labelled;
use super::trainer::Run;
use crate::qwen3::{Gradients, Keep, Pack, Qwen3, SequenceLoss, Trained};

impl Run<'_, '_> {
    /// Returns the loss and the gradients, added up in the order of the batch; all weights are multiplied with `scale`.
    pub(super) fn gradients(&mut self, model: &Qwen3, batch: &[usize], scale: f32) -> Result<(f64, Gradients), TrainError> {
        match &mut self.passes {
            Some(passes) => packed_gradients(model, &self.train, batch, scale, self.trained, passes),
            None => Ok(self.gradients_side_by_side(model, batch, scale)),
        }
    }

    fn gradients_side_by_side(&self, model: &Qwen3, batch: &[usize], scale: f32) -> (f64, Gradients) {
        let (mut sum, mut gradients) = (0.0, Gradients::new());
        for group in batch.chunks(self.side_by_side) {
            let losses: Vec<SequenceLoss> = group.par_iter().map(|&i| self.sequence_loss(model, i, scale)).collect();
            for loss in losses {
                sum += loss.sum;
                gradients.merge(loss.gradients);
            }
        }
        (sum, gradients)
    }

    /// Returns the loss and the gradients of one sequence, whose weights are multiplied with `scale`.
    pub(super) fn sequence_loss(&self, model: &Qwen3, sequence: usize, scale: f32) -> SequenceLoss {
        let keep = if self.config.recompute { Keep::Input } else { Keep::Everything };
        let sequence = &self.train[sequence];
        model.loss_and_gradients(sequence.ids, &sequence.targets, &sequence.scaled_weights(scale), self.trained, keep)
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
