//! The gradients of a batch that is divided among workers.

use burn::tensor::Device;
use rayon::prelude::*;

use super::collective::share_of;
use super::error::TrainError;
use super::trainer::Run;
use crate::kernels::host;
use crate::qwen3::{Gradients, Qwen3, Trained, place};

/// Where the gradients of the trained tensors are in one flat vector: in the order of their names.
pub(super) struct GradientLayout(Vec<(String, [usize; 2])>);

impl GradientLayout {
    pub(super) fn of(model: &mut Qwen3, trained: Trained) -> Self {
        let mut tensors = Vec::new();
        model.update(trained, &mut |name, tensor| {
            tensors.push((name.to_owned(), tensor.dims()));
            tensor
        });
        tensors.sort();
        Self(tensors)
    }

    /// Returns the length of the vector.
    pub(super) fn values(&self) -> usize {
        self.0.iter().map(|(_, shape)| shape[0] * shape[1]).sum()
    }

    fn flatten(&self, gradients: &Gradients) -> Vec<f32> {
        let mut flat = Vec::with_capacity(self.values());
        for (name, _) in &self.0 {
            let gradient = gradients.get(name).expect("every trained tensor has a gradient");
            flat.extend_from_slice(&host::values(gradient));
        }
        flat
    }

    fn gradients(&self, flat: &[f32], device: &Device) -> Gradients {
        let (mut gradients, mut rest) = (Gradients::new(), flat);
        for (name, shape) in &self.0 {
            let (values, behind) = rest.split_at(shape[0] * shape[1]);
            gradients.add(name.clone(), place(values.to_vec(), *shape, device));
            rest = behind;
        }
        gradients
    }
}

/// The losses and, as flat vectors, the gradients that a worker adds.
type Terms = (Vec<f64>, Vec<Vec<f32>>);

impl Run<'_, '_> {
    /// Returns the loss and the gradients of a batch, of which every worker forms those of its share.
    ///
    /// On a processor each sequence is a term of the sum, whose order is that of the batch: the bits are those of one worker. They meet
    /// once a step, as long as there is room for the gradients of the whole batch; else the sum so far is the first term of the next one.
    pub(super) fn shared_gradients(&mut self, model: &Qwen3, batch: &[usize], scale: f32) -> Result<(f64, Gradients), TrainError> {
        let (collective, workers) = (self.collective, self.collective.world_size());
        if workers == 1 {
            return self.gradients(model, batch, scale);
        }
        let together = if self.passes.is_some() { batch.len() } else { self.side_by_side.saturating_mul(workers) };
        let (mut losses, mut sum) = (Vec::new(), None);
        for group in batch.chunks(together) {
            let (own, mut terms) = self.terms(model, &group[share_of(group.len(), collective)], scale)?;
            if let (0, Some(sum)) = (collective.rank(), sum) {
                terms.insert(0, sum);
            }
            sum = Some(collective.all_reduce_sum(terms)?);
            losses.extend(collective.all_gather(own)?.concat());
        }
        let loss = losses.iter().fold(0.0, |sum, loss| sum + loss);
        Ok((loss, self.layout.gradients(&sum.unwrap_or_default(), &model.device())))
    }

    /// Returns the terms of a share: one for each sequence, or, on a GPU, one for all of them together.
    fn terms(&mut self, model: &Qwen3, share: &[usize], scale: f32) -> Result<Terms, TrainError> {
        if self.passes.is_none() {
            let term = |&i: &usize| {
                let loss = self.sequence_loss(model, i, scale);
                (loss.sum, self.layout.flatten(&loss.gradients))
            };
            return Ok(share.par_iter().map(term).unzip());
        }
        if share.is_empty() {
            return Ok(Terms::default());
        }
        let (loss, gradients) = self.gradients(model, share, scale)?;
        Ok((vec![loss], vec![self.layout.flatten(&gradients)]))
    }
}
