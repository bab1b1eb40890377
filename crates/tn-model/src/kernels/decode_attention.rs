//! Attention of new tokens in several continuations that share a prompt.
//!
//! Every continuation sees the keys of the whole prompt, stored once, then its own, and then those new ones of its run that are not later:
//! `o = softmax(q [K_prompt; K_own; K_new]^T / sqrt(D)) V`.

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
    /// How many of the own entries of each continuation are filled.
    pub lengths: Vec<usize>,
}

/// New tokens of one continuation: as many neighboring rows of the queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The continuation that the tokens follow.
    pub continuation: usize,
    /// Number of tokens.
    pub tokens: usize,
}

impl LayerCache {
    /// Writes the keys and the values of the tokens of some runs, not more than one of each continuation.
    ///
    /// # Shapes
    /// `k`, `v`: `[tokens of all runs, key_heads * head_dim]`.
    ///
    /// # Panics
    /// Panics when the cache is full.
    #[must_use]
    pub fn append(mut self, k: &Tensor<2>, v: &Tensor<2>, runs: &[Run]) -> Self {
        let capacity = self.own.0.dims()[1];
        let fits = |run: &Run| self.lengths[run.continuation] + run.tokens <= capacity;
        assert!(runs.iter().all(fits), "the cache has no room for another token");
        self.own = (write(self.own.0, &self.lengths, k, runs), write(self.own.1, &self.lengths, v, runs));
        runs.iter().for_each(|run| self.lengths[run.continuation] += run.tokens);
        self
    }

    /// Keeps only the named continuations, in the given order.
    #[must_use]
    pub fn keep(&self, continuations: &[usize]) -> Self {
        let own = (select(&self.own.0, continuations), select(&self.own.1, continuations));
        let lengths = continuations.iter().map(|&i| self.lengths[i]).collect();
        Self { prompt: self.prompt.clone(), own, lengths }
    }
}

fn write(entries: Tensor<3>, lengths: &[usize], rows: &Tensor<2>, runs: &[Run]) -> Tensor<3> {
    let [_, capacity, width] = entries.dims();
    match (HostFloats::of(&entries).is_some(), HostFloats::of(rows)) {
        (true, Some(rows)) => host::update(entries, |entries| {
            let mut rows = &*rows;
            for run in runs {
                let (row, rest) = rows.split_at(run.tokens * width);
                let at = (run.continuation * capacity + lengths[run.continuation]) * width;
                entries[at..at + row.len()].copy_from_slice(row);
                rows = rest;
            }
        }),
        _ => {
            let mut first = 0;
            runs.iter().fold(entries, |entries, run| {
                let (i, at, row) = (run.continuation, lengths[run.continuation], rows.clone().narrow(0, first, run.tokens));
                first += run.tokens;
                entries.slice_assign([i..i + 1, at..at + run.tokens, 0..width], row.unsqueeze_dim(0))
            })
        }
    }
}

fn select(entries: &Tensor<3>, continuations: &[usize]) -> Tensor<3> {
    Tensor::cat(continuations.iter().map(|&i| entries.clone().narrow(0, i, 1)).collect(), 0)
}

/// Attends from new tokens, which are not in the cache yet, to the prompt, the continuation's own tokens and the earlier tokens of their run.
/// Several runs may follow the same continuation; they do not see each other.
///
/// # Shapes
/// `q` and the result: `[tokens of all runs, heads * head_dim]`; `k`, `v`: `[tokens of all runs, key_heads * head_dim]`.
#[must_use]
pub fn forward(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, runs: &[Run], cache: &LayerCache, shape: AttentionShape) -> Tensor<2> {
    let (prompt, own) = (&cache.prompt, &cache.own);
    let hosts = (HostFloats::of(&prompt.0), HostFloats::of(&prompt.1), HostFloats::of(&own.0), HostFloats::of(&own.1));
    match (HostFloats::of(q), HostFloats::of(k), HostFloats::of(v), hosts) {
        (Some(q_values), Some(new_k), Some(new_v), (Some(prompt_k), Some(prompt_v), Some(own_k), Some(own_v))) => {
            let keys = cpu::Keys { prompt: &prompt_k, own: &own_k, capacity: own.0.dims()[1], new: &new_k };
            let values = cpu::Keys { prompt: &prompt_v, own: &own_v, capacity: own.1.dims()[1], new: &new_v };
            let rows = cpu::rows(runs, &cache.lengths);
            host::tensor(cpu::forward(&q_values, &keys, &values, &rows, shape), q.dims())
        }
        _ => reference::forward(q, k, v, runs, cache, shape),
    }
}
