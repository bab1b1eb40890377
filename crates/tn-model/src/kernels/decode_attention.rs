//! Attention of one new token in each of several continuations that share a prompt.
//!
//! Every continuation sees the keys of the whole prompt, stored once, and then its own: `o = softmax(q [K_prompt; K_own]^T / sqrt(D)) V`.

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::attention::AttentionShape;
use super::host::{self, HostFloats};

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub struct LayerCache {
    /// Of the shared prompt: `[prompt, key_heads * head_dim]`, keys and values.
    pub prompt: (Tensor<2>, Tensor<2>),
    /// Of the continuations: `[continuations, capacity, key_heads * head_dim]`, keys and values, filled from the front.
    pub own: (Tensor<3>, Tensor<3>),
    /// How many of the own entries are filled.
    pub length: usize,
}

impl LayerCache {
    /// Writes the key and the value of every continuation's new token.
    ///
    /// # Shapes
    /// `k`, `v`: `[continuations, key_heads * head_dim]`.
    ///
    /// # Panics
    /// Panics when the cache is full.
    #[must_use]
    pub fn append(self, k: &Tensor<2>, v: &Tensor<2>) -> Self {
        assert!(self.length < self.own.0.dims()[1], "the cache has no room for another token");
        let at = self.length;
        Self { own: (write(self.own.0, at, k), write(self.own.1, at, v)), length: at + 1, prompt: self.prompt }
    }

    /// Keeps only the named continuations, in the given order.
    #[must_use]
    pub fn keep(&self, continuations: &[usize]) -> Self {
        let own = (select(&self.own.0, continuations), select(&self.own.1, continuations));
        Self { prompt: self.prompt.clone(), own, length: self.length }
    }
}

fn write(entries: Tensor<3>, at: usize, rows: &Tensor<2>) -> Tensor<3> {
    let [continuations, capacity, width] = entries.dims();
    match (HostFloats::of(&entries).is_some(), HostFloats::of(rows)) {
        (true, Some(rows)) => host::update(entries, |entries| {
            for (entry, row) in entries.chunks_exact_mut(capacity * width).zip(rows.chunks_exact(width)) {
                entry[at * width..(at + 1) * width].copy_from_slice(row);
            }
        }),
        _ => entries.slice_assign([0..continuations, at..at + 1, 0..width], rows.clone().unsqueeze_dim(1)),
    }
}

fn select(entries: &Tensor<3>, continuations: &[usize]) -> Tensor<3> {
    Tensor::cat(continuations.iter().map(|&i| entries.clone().narrow(0, i, 1)).collect(), 0)
}

/// Attends from one new token of every continuation to the prompt and to the continuation's own tokens.
///
/// # Shapes
/// `q` and the result: `[continuations, heads * head_dim]`.
#[must_use]
pub fn forward(q: &Tensor<2>, cache: &LayerCache, shape: AttentionShape) -> Tensor<2> {
    let (prompt, own) = (&cache.prompt, &cache.own);
    let hosts = (HostFloats::of(&prompt.0), HostFloats::of(&prompt.1), HostFloats::of(&own.0), HostFloats::of(&own.1));
    match (HostFloats::of(q), hosts) {
        (Some(values), (Some(prompt_k), Some(prompt_v), Some(own_k), Some(own_v))) => {
            let keys = cpu::Keys { prompt: &prompt_k, own: &own_k, capacity: own.0.dims()[1], length: cache.length };
            let values_of = cpu::Keys { prompt: &prompt_v, own: &own_v, capacity: own.1.dims()[1], length: cache.length };
            host::tensor(cpu::forward(&values, &keys, &values_of, q.dims()[0], shape), q.dims())
        }
        _ => reference::forward(q.clone(), cache, shape),
    }
}
