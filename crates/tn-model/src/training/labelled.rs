//! Training sequences with the token that should follow each token.

use rayon::prelude::*;

use super::collective::{Collective, share_of};
use super::error::TrainError;
use crate::dataset::{TokenSequence, epoch_order};
use crate::device::is_gpu;
use crate::qwen3::Qwen3;

/// A sequence with the token that should follow each token.
pub(super) struct Labelled<'s> {
    /// Its place among the sequences that were given.
    pub(super) place: usize,
    pub(super) ids: &'s [u32],
    pub(super) targets: Vec<Option<u32>>,
    pub(super) weights: Vec<f32>,
}

impl Labelled<'_> {
    pub(super) fn labels(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    /// Returns the weights, multiplied with `scale`.
    pub(super) fn scaled_weights(&self, scale: f32) -> Vec<f32> {
        self.weights.iter().map(|weight| weight * scale).collect()
    }

    /// Returns the sum of the weights of the labels.
    pub(super) fn weight(&self) -> f64 {
        self.targets.iter().zip(&self.weights).filter(|(target, _)| target.is_some()).map(|(_, &weight)| f64::from(weight)).sum()
    }
}

/// Shifts labels to the token before, and leaves out sequences without any that counts.
pub(super) fn labelled<'s>(sequences: &'s [TokenSequence], model: &Qwen3) -> Result<Vec<Labelled<'s>>, TrainError> {
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

/// Returns the order in which a run reads its training sequences, by their places: epoch after epoch, each in an order of its own, without
/// sequences in which no label counts.
#[must_use]
pub fn visiting_order(sequences: &[TokenSequence], seed: u64, epochs: u32) -> Vec<usize> {
    let counts = |sequence: &TokenSequence| {
        let labels = sequence.labels.iter().zip(&sequence.weights).skip(1);
        labels.into_iter().any(|(&label, &weight)| label >= 0 && weight > 0.0)
    };
    let usable: Vec<usize> = (0..sequences.len()).filter(|&place| counts(&sequences[place])).collect();
    let orders = (0..u64::from(epochs)).flat_map(|epoch| epoch_order(usable.len(), seed, epoch));
    orders.map(|i| usable[i]).collect()
}

/// Returns the mean loss of the labelled tokens, `None` when there are none; every worker reads its share of the sequences.
pub(super) fn mean_loss(model: &Qwen3, sequences: &[Labelled<'_>], collective: &dyn Collective) -> Result<Option<f64>, TrainError> {
    let labels: usize = sequences.iter().map(Labelled::labels).sum();
    let share = &sequences[share_of(sequences.len(), collective)];
    let loss = |sequence: &Labelled<'_>| model.loss(sequence.ids, &sequence.targets);
    // One after the other on a GPU, which is busy with one sequence.
    let sums: Vec<f64> = match is_gpu(&model.device()) {
        true => share.iter().map(loss).collect(),
        false => share.par_iter().map(loss).collect(),
    };
    let sums = collective.all_gather(sums)?.concat();
    Ok((labels > 0).then(|| sums.iter().sum::<f64>() / labels as f64))
}
