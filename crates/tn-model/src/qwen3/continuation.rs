//! Several continuations of one prompt, decoded together.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::block::Places;
use super::decoder::positions;
use super::packed::PackedQwen3;
use crate::kernels::attention;
use crate::kernels::decode_attention::{self, LayerCache, Run};
use crate::kernels::qk_norm_rope::RotaryTable;

/// Continuations of one prompt: the prompt's keys and values are computed and stored once, whatever the number of continuations.
///
/// Continuations grow by one token or by several in one pass, and not all by the same number.
pub struct Continuations<'m> {
    model: &'m PackedQwen3,
    layers: Vec<LayerCache>,
    rotations: Arc<RotaryTable>,
    prompt: usize,
    /// Of the token after the prompt.
    prompt_logits: Tensor<2>,
    logits: Tensor<2>,
}

/// A possible way on: tokens after a continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The continuation.
    pub continuation: usize,
    /// The tokens; at least one.
    pub tokens: Vec<u32>,
}

impl<'m> Continuations<'m> {
    /// Reads the prompt and prepares `count` continuations of up to `capacity` tokens each.
    ///
    /// # Panics
    /// Panics when the prompt is empty or a token is not below the vocabulary size.
    #[must_use]
    pub fn start(model: &'m PackedQwen3, prompt: &[u32], count: usize, capacity: usize) -> Self {
        assert!(!prompt.is_empty(), "a prompt has at least one token");
        let (rotations, positions) = (model.rotations(prompt.len() + capacity), positions(prompt.len()));
        let places = Places { table: &rotations, positions: &positions };
        let mut x = model.embed(prompt);
        let mut layers = Vec::with_capacity(model.blocks.len());
        for block in &model.blocks {
            let heads = block.query_key_value(&x, places);
            let attended = attention::forward(&heads.q, &heads.k, &heads.v, block.shape);
            x = block.after_attention(x, &attended.output);
            let own = empty_cache(&heads.k, count, capacity);
            layers.push(LayerCache { prompt: (heads.k, heads.v), own, lengths: vec![0; count] });
        }
        let prompt_logits = model.logits(&x.narrow(0, prompt.len() - 1, 1));
        let logits = prompt_logits.clone().repeat_dim(0, count);
        Self { model, layers, rotations, prompt: prompt.len(), prompt_logits, logits }
    }

    /// Forgets the continuations and prepares `count` new ones of the same prompt, which is not read again.
    pub fn restart(&mut self, count: usize) {
        for layer in &mut self.layers {
            let capacity = layer.own.0.dims()[1];
            layer.own = empty_cache(&layer.prompt.0, count, capacity);
            layer.lengths = vec![0; count];
        }
        self.logits = self.prompt_logits.clone().repeat_dim(0, count);
    }

    /// Returns the number of continuations.
    #[must_use]
    pub fn count(&self) -> usize {
        self.logits.dims()[0]
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
        let runs: Vec<&[u32]> = tokens.iter().map(std::slice::from_ref).collect();
        self.push_runs(&runs);
    }

    /// Appends a run of tokens to every continuation, in one pass.
    ///
    /// # Panics
    /// Panics when there is not one run for each continuation, a run is empty, or the capacity is used up.
    pub fn push_runs(&mut self, runs: &[&[u32]]) {
        assert_eq!(runs.len(), self.count(), "one run for each continuation");
        let tokens = runs.concat();
        let runs: Vec<Run> = runs.iter().enumerate().map(|(continuation, run)| Run { continuation, tokens: run.len() }).collect();
        let positions = self.positions(&runs);
        let places = Places { table: &self.rotations, positions: &positions };
        let mut x = self.model.embed(&tokens);
        for (block, slot) in self.model.blocks.iter().zip(&mut self.layers) {
            let heads = block.query_key_value(&x, places);
            let attended = decode_attention::forward(&heads.q, &heads.k, &heads.v, &runs, slot, block.shape);
            *slot = take(slot).append(&heads.k, &heads.v, &runs);
            x = block.after_attention(x, &attended);
        }
        self.logits = self.last_logits(&x, &runs);
    }

    /// Returns the logits of the token that would follow each of some branches, `[branches, vocabulary]`, in one pass; the continuations stay
    /// as they are.
    ///
    /// # Panics
    /// Panics when there is no branch, a branch is empty or of no continuation, or goes beyond the capacity.
    #[must_use]
    pub fn peek(&self, branches: &[Branch]) -> Tensor<2> {
        let tokens: Vec<u32> = branches.iter().flat_map(|branch| &branch.tokens).copied().collect();
        let runs: Vec<Run> = branches.iter().map(|branch| Run { continuation: branch.continuation, tokens: branch.tokens.len() }).collect();
        let positions = self.positions(&runs);
        let places = Places { table: &self.rotations, positions: &positions };
        let mut x = self.model.embed(&tokens);
        for (block, layer) in self.model.blocks.iter().zip(&self.layers) {
            let heads = block.query_key_value(&x, places);
            let attended = decode_attention::forward(&heads.q, &heads.k, &heads.v, &runs, layer, block.shape);
            x = block.after_attention(x, &attended);
        }
        self.last_logits(&x, &runs)
    }

    /// Keeps only the named continuations, in the given order.
    pub fn keep(&mut self, continuations: &[usize]) {
        for layer in &mut self.layers {
            *layer = layer.keep(continuations);
        }
        let rows = continuations.iter().map(|&i| self.logits.clone().narrow(0, i, 1)).collect();
        self.logits = Tensor::cat(rows, 0);
    }

    /// Returns the position of every token of some runs.
    fn positions(&self, runs: &[Run]) -> Vec<u32> {
        assert!(runs.iter().all(|run| run.tokens > 0), "a run has at least one token");
        let lengths = self.layers.first().map(|layer| layer.lengths.as_slice());
        let begin = |run: &Run| self.prompt + lengths.map_or(0, |lengths| lengths[run.continuation]);
        runs.iter().flat_map(|run| (begin(run)..begin(run) + run.tokens).map(|position| position as u32)).collect()
    }

    /// Returns the logits after the last token of every run.
    fn last_logits(&self, x: &Tensor<2>, runs: &[Run]) -> Tensor<2> {
        let mut end = 0;
        let last = runs.iter().map(|run| {
            end += run.tokens;
            x.clone().narrow(0, end - 1, 1)
        });
        let last = if runs.iter().all(|run| run.tokens == 1) { x.clone() } else { Tensor::cat(last.collect(), 0) };
        self.model.logits(&last)
    }
}

fn empty_cache(like: &Tensor<2>, count: usize, capacity: usize) -> (Tensor<3>, Tensor<3>) {
    let empty = || Tensor::zeros([count, capacity, like.dims()[1]], &like.device());
    (empty(), empty())
}

/// Moves a layer's cache out, so that its tensors have one owner and are changed in place.
fn take(slot: &mut LayerCache) -> LayerCache {
    let device = slot.prompt.0.device();
    let (flat, deep) = (|| Tensor::<2>::empty([0, 0], &device), || Tensor::<3>::empty([0, 0, 0], &device));
    std::mem::replace(slot, LayerCache { prompt: (flat(), flat()), own: (deep(), deep()), lengths: Vec::new() })
}
