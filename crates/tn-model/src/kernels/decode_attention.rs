//! Attention of new tokens in several continuations that share a prompt.
//!
//! Every continuation sees the keys of the whole prompt, stored once, then its own, and then those new ones of its run that are not later:
//! `o = softmax(q [K_prompt; K_own; K_new]^T / sqrt(D)) V`. In host memory the prompt's keys and values are packed as weights are, so that
//! a row's sums do not depend on the rows beside it.

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::attention::AttentionShape;
use super::host::{self, HostFloats};
use super::packed_linear::{PackedMatrix, WeightFormat};

/// Entries by which a cache grows at least, so that it is not copied for each token.
const GROWTH: usize = 32;

/// Keys and values of a prompt in one layer.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each layer, beside megabytes of keys")]
pub enum PromptKeys {
    /// In host memory: keys `[prompt, head_dim]` and transposed values `[head_dim, prompt]` of each key head.
    Packed(Vec<PackedHead>),
    /// On any device: keys and values, `[prompt, key_heads * head_dim]`.
    Rows(Tensor<2>, Tensor<2>),
}

/// Keys and values of one key head.
#[derive(Clone, Debug)]
pub struct PackedHead {
    keys: PackedMatrix,
    values: PackedMatrix,
}

impl PromptKeys {
    /// Stores keys and values, `[prompt, key_heads * head_dim]`: packed when they are in host memory, in 32 bits beside weights of 32 bits
    /// and in bf16 beside smaller ones.
    #[must_use]
    pub fn new(k: &Tensor<2>, v: &Tensor<2>, shape: AttentionShape, weights: WeightFormat) -> Self {
        let (Some(keys), Some(values)) = (HostFloats::of(k), HostFloats::of(v)) else { return Self::Rows(k.clone(), v.clone()) };
        let format = if weights == WeightFormat::F32 { WeightFormat::F32 } else { WeightFormat::Bf16 };
        let ([prompt, width], d) = (k.dims(), shape.head_dim);
        let head = |head: usize| PackedHead {
            keys: PackedMatrix::pack_rows([prompt, d], format, |token, row| row.copy_from_slice(&keys[token * width + head * d..][..d])),
            values: PackedMatrix::pack_rows([d, prompt], format, |at, row| {
                let column = values[head * d + at..].iter().step_by(width);
                row.iter_mut().zip(column).for_each(|(slot, &value)| *slot = value);
            }),
        };
        Self::Packed((0..shape.key_heads).map(head).collect())
    }
}

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub struct LayerCache {
    /// Of the shared prompt.
    pub prompt: PromptKeys,
    /// Of the continuations.
    pub own: Entries,
}

/// Keys and values of several texts, each in its slot, filled from the front.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Keys, `[slots, room, key_heads * head_dim]`.
    pub keys: Tensor<3>,
    /// Values, of the same shape.
    pub values: Tensor<3>,
}

/// New tokens of one text: as many neighboring rows of the queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the text's entries are.
    pub slot: usize,
    /// How many entries the slot has.
    pub own: usize,
    /// Number of new tokens.
    pub tokens: usize,
}

impl Entries {
    /// Returns entries of some slots with room for `room` tokens each, on a device.
    #[must_use]
    pub fn empty(slots: usize, room: usize, width: usize, device: &burn::tensor::Device) -> Self {
        let empty = || Tensor::zeros([slots, room, width], device);
        Self { keys: empty(), values: empty() }
    }

    /// Writes the keys and the values of the tokens of some runs, not more than one of each slot, behind what the slots have, and makes
    /// room for them where there is none, but for no more than `capacity` tokens.
    ///
    /// # Shapes
    /// `k`, `v`: `[tokens of all runs, key_heads * head_dim]`.
    ///
    /// # Panics
    /// Panics when a slot would have more than `capacity` tokens.
    pub fn append(&mut self, k: &Tensor<2>, v: &Tensor<2>, runs: &[Run], capacity: usize) {
        let needed = runs.iter().map(|run| run.own + run.tokens).max().unwrap_or(0);
        assert!(needed <= capacity, "the cache has no room for another token");
        for (entries, rows) in [(&mut self.keys, k), (&mut self.values, v)] {
            // Moved out, so that the entries have one owner and are changed in place.
            let nothing = Tensor::empty([0, 0, 0], &entries.device());
            let own = with_room(std::mem::replace(entries, nothing), needed, capacity);
            *entries = write(own, rows, runs);
        }
    }

    /// Returns the first `length` keys and values of a slot, `[length, key_heads * head_dim]`.
    #[must_use]
    pub fn of(&self, slot: usize, length: usize) -> (Tensor<2>, Tensor<2>) {
        let first = |entries: &Tensor<3>| entries.clone().narrow(0, slot, 1).narrow(1, 0, length).squeeze_dim(0);
        (first(&self.keys), first(&self.values))
    }
}

fn with_room(entries: Tensor<3>, needed: usize, capacity: usize) -> Tensor<3> {
    let [slots, room, width] = entries.dims();
    if needed <= room {
        return entries;
    }
    let more = (needed - room).max(room / 2).max(GROWTH).min(capacity - room);
    let empty = Tensor::zeros([slots, more, width], &entries.device());
    if room == 0 { empty } else { Tensor::cat(vec![entries, empty], 1) }
}

fn write(entries: Tensor<3>, rows: &Tensor<2>, runs: &[Run]) -> Tensor<3> {
    let [_, room, width] = entries.dims();
    // Not in the expression of the match, which would keep a second owner of the values alive, and have them copied.
    let is_on_host = HostFloats::of(&entries).is_some();
    match (is_on_host, HostFloats::of(rows)) {
        (true, Some(rows)) => host::update(entries, |entries| {
            let mut rows = &*rows;
            for run in runs {
                let (new, rest) = rows.split_at(run.tokens * width);
                let at = (run.slot * room + run.own) * width;
                entries[at..at + new.len()].copy_from_slice(new);
                rows = rest;
            }
        }),
        _ => {
            let mut first = 0;
            runs.iter().fold(entries, |entries, run| {
                let new = rows.clone().narrow(0, first, run.tokens);
                first += run.tokens;
                entries.slice_assign([run.slot..run.slot + 1, run.own..run.own + run.tokens, 0..width], new.unsqueeze_dim(0))
            })
        }
    }
}

/// Attends from new tokens, which are not in the cache yet, to the prompt, the own tokens of their text and the earlier tokens of their
/// run. Several runs may follow the same text; they do not see each other. In host memory, the result of a row does not depend on the other
/// runs.
///
/// # Shapes
/// `q` and the result: `[tokens of all runs, heads * head_dim]`; `k`, `v`: `[tokens of all runs, key_heads * head_dim]`.
///
/// # Panics
/// Panics when the queries are not in host memory and the prompt is packed there.
#[must_use]
pub fn forward(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, runs: &[Run], cache: &LayerCache, shape: AttentionShape) -> Tensor<2> {
    let heads = match &cache.prompt {
        PromptKeys::Packed(heads) => heads,
        PromptKeys::Rows(keys, values) => return reference::forward(q, k, v, runs, (keys, values), &cache.own, shape),
    };
    let [q_values, new_k, new_v] = [q, k, v].map(host::view);
    let (own_k, own_v) = (host::view(&cache.own.keys), host::view(&cache.own.values));
    let room = cache.own.keys.dims()[1];
    let behind = cpu::Behind {
        keys: cpu::Keys { own: &own_k, room, new: &new_k },
        values: cpu::Keys { own: &own_v, room, new: &new_v },
        rows: cpu::rows(runs),
    };
    host::tensor(cpu::forward(&q_values, heads, &behind, shape), q.dims())
}
