//! Several continuations of one prompt, decoded together.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::block::Places;
use super::decoder::{Qwen3, positions};
use crate::kernels::decode_attention::{self, LayerCache};
use crate::kernels::qk_norm_rope::RotaryTable;
use crate::kernels::{attention, embedding, rms_norm};

/// Continuations of one prompt: the prompt's keys and values are computed and stored once, whatever the number of continuations.
///
/// All continuations grow by one token a step.
pub struct Continuations<'m> {
    model: &'m Qwen3,
    layers: Vec<LayerCache>,
    rotations: Arc<RotaryTable>,
    prompt: usize,
    logits: Tensor<2>,
}

impl<'m> Continuations<'m> {
    /// Reads the prompt and prepares `count` continuations of up to `capacity` tokens each.
    ///
    /// # Panics
    /// Panics when the prompt is empty or a token is not below the vocabulary size.
    #[must_use]
    pub fn start(model: &'m Qwen3, prompt: &[u32], count: usize, capacity: usize) -> Self {
        assert!(!prompt.is_empty(), "a prompt has at least one token");
        let (rotations, positions) = (model.rotations(prompt.len() + capacity), positions(prompt.len()));
        let places = Places { table: &rotations, positions: &positions };
        let mut x = embedding::forward(&model.embedding, prompt);
        let mut layers = Vec::with_capacity(model.blocks.len());
        for block in &model.blocks {
            let heads = block.query_key_value(&x, places);
            let attended = attention::forward(&heads.q, &heads.k, &heads.v, block.shape);
            x = block.after_attention(x, &attended.output);
            let width = heads.k.dims()[1];
            let empty = || Tensor::<3>::zeros([count, capacity, width], &x.device());
            layers.push(LayerCache { prompt: (heads.k, heads.v), own: (empty(), empty()), length: 0 });
        }
        let last = rms_norm::forward(&x.narrow(0, prompt.len() - 1, 1), &model.norm, model.eps());
        let logits = model.logits(&last).repeat_dim(0, count);
        Self { model, layers, rotations, prompt: prompt.len(), logits }
    }

    /// Returns the logits of the next token of every continuation, `[continuations, vocabulary]`.
    #[must_use]
    pub fn logits(&self) -> &Tensor<2> {
        &self.logits
    }

    /// Appends one token to every continuation.
    ///
    /// # Panics
    /// Panics when there is not one token for each continuation, or the capacity is used up.
    pub fn push(&mut self, tokens: &[u32]) {
        assert_eq!(tokens.len(), self.logits.dims()[0], "one token for each continuation");
        let position = self.prompt + self.layers.first().map_or(0, |layer| layer.length);
        let positions = vec![position as u32; tokens.len()];
        let places = Places { table: &self.rotations, positions: &positions };
        let mut x = embedding::forward(&self.model.embedding, tokens);
        for (block, slot) in self.model.blocks.iter().zip(&mut self.layers) {
            let heads = block.query_key_value(&x, places);
            let layer = take(slot).append(&heads.k, &heads.v);
            let attended = decode_attention::forward(&heads.q, &layer, block.shape);
            *slot = layer;
            x = block.after_attention(x, &attended);
        }
        self.logits = self.model.logits(&rms_norm::forward(&x, &self.model.norm, self.model.eps()));
    }

    /// Keeps only the named continuations, in the given order.
    pub fn keep(&mut self, continuations: &[usize]) {
        for layer in &mut self.layers {
            *layer = layer.keep(continuations);
        }
        let rows = continuations.iter().map(|&i| self.logits.clone().narrow(0, i, 1)).collect();
        self.logits = Tensor::cat(rows, 0);
    }
}

/// Moves a layer's cache out, so that its tensors have one owner and are changed in place.
fn take(slot: &mut LayerCache) -> LayerCache {
    let device = slot.prompt.0.device();
    let (flat, deep) = (|| Tensor::<2>::empty([0, 0], &device), || Tensor::<3>::empty([0, 0, 0], &device));
    std::mem::replace(slot, LayerCache { prompt: (flat(), flat()), own: (deep(), deep()), length: 0 })
}
