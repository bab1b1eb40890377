//! Attention of new tokens in texts whose keys and values lie in pages of a pool.
//!
//! A page has the keys, and another one the values, of [`PAGE`] neighboring tokens of a text. Texts with the same beginning share its pages.
//! The keys and values of new tokens are first written into the pages of their texts; then every new token attends to its text up to itself:
//! `o_i = softmax(q_i K^T / sqrt(D)) V` over the keys at positions up to that of `i`.
//!
//! On a GPU, the keys of a row are cut into chunks, of which each yields `(sum_j e^(s_j - m) v_j, m, sum_j e^(s_j - m))` with its largest
//! score `m`; these are merged with the weights `e^(m - M)`. Samples of one prompt read the keys of their shared pages once for all of them.

#[cfg(feature = "gpu")]
mod gpu;
mod plan;
mod reference;

use burn::tensor::{DType, Device, Tensor};

pub use plan::{Limits, Room, Run};

use self::plan::Plan;
use super::attention::AttentionShape;

/// Tokens of a page.
pub const PAGE: usize = 64;

/// A page whose keys and values become those of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageCopy {
    /// The page that is read.
    pub from: u32,
    /// The page that is written.
    pub to: u32,
}

/// The keys and values of all texts in one layer.
#[derive(Debug)]
pub struct LayerPages {
    /// `[pages, key_heads, PAGE, head_dim]`.
    keys: Tensor<4>,
    /// Of the same shape.
    values: Tensor<4>,
}

/// The new tokens of a pass, the same in all layers.
#[derive(Debug)]
pub struct NewRows {
    plan: Plan,
    room: Room,
    #[cfg(feature = "gpu")]
    words: std::sync::OnceLock<gpu::Words>,
}

impl NewRows {
    /// Lays out the work of some runs, in the order of their rows.
    ///
    /// # Panics
    /// Panics when a run is empty or has more tokens than its pages, or the limits allow no row or key.
    #[must_use]
    pub fn new(runs: &[Run<'_>], limits: Limits) -> Self {
        let plan = Self::plan(runs, limits);
        let room = Room::of(&plan);
        Self::in_room(plan, room)
    }

    /// Lays out the work of some runs, and of empty rows behind theirs up to `rows`: nothing is written for these, and 0 comes out.
    ///
    /// # Panics
    /// As [`NewRows::new`], and when the runs have more rows.
    #[must_use]
    pub fn padded(runs: &[Run<'_>], limits: Limits, rows: usize) -> Self {
        let plan = Self::plan(runs, limits);
        let room = Room::rounded(&plan, rows);
        Self::in_room(plan, room)
    }

    fn in_room(plan: Plan, room: Room) -> Self {
        Self {
            plan,
            room,
            #[cfg(feature = "gpu")]
            words: std::sync::OnceLock::new(),
        }
    }

    fn plan(runs: &[Run<'_>], limits: Limits) -> Plan {
        assert!(limits.rows > 0 && limits.keys > 0 && limits.keys.is_multiple_of(PAGE), "{limits:?} do not fit to pages of {PAGE} tokens");
        for run in runs {
            let (before, tokens, pages) = (run.before, run.tokens, run.pages.len());
            assert!(tokens > 0 && before + tokens <= pages * PAGE, "{tokens} tokens after {before} do not fit into {pages} pages");
        }
        Plan::new(runs, limits)
    }

    /// Returns what other rows have in common with these when the launches for these do their work, once their numbers are in the place of
    /// these.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room
    }

    /// Puts other rows in the place of these, where kernels have read them.
    ///
    /// # Panics
    /// Panics when they have another room.
    #[cfg(feature = "gpu")]
    pub(crate) fn overwrite(&mut self, rows: Self) {
        assert_eq!(self.room, rows.room, "other rows take the place of these");
        self.plan = rows.plan;
        if let Some(words) = self.words.get() {
            words.overwrite(&self.plan, &self.room);
        }
    }

    /// Returns the number of rows, empty ones among them.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.room.rows
    }

    /// Returns how often the keys of a head are read, over all rows.
    #[must_use]
    pub fn keys_read(&self) -> usize {
        self.plan.narrow.iter().chain(&self.plan.wide).map(|item| item.keys.len()).sum()
    }
}

impl LayerPages {
    /// Returns so many pages, of keys and of values.
    #[must_use]
    pub fn empty(pages: usize, shape: AttentionShape, dtype: DType, device: &Device) -> Self {
        let empty = || in_place(Tensor::zeros([pages, shape.key_heads, PAGE, shape.head_dim], (device, dtype)));
        Self { keys: empty(), values: empty() }
    }

    /// Adds pages behind those that there are, which move to another place in memory.
    pub fn grow(&mut self, pages: usize) {
        for entries in [&mut self.keys, &mut self.values] {
            let [_, heads, tokens, d] = entries.dims();
            let more = Tensor::zeros([pages, heads, tokens, d], (&entries.device(), entries.dtype()));
            *entries = in_place(Tensor::cat(vec![entries.clone(), more], 0));
        }
    }

    /// Returns the number of pages.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.keys.dims()[0]
    }

    /// Returns the sizes of work items that suit the device.
    #[must_use]
    pub fn limits(&self, shape: AttentionShape) -> Limits {
        #[cfg(feature = "gpu")]
        if let Some(keys) = super::gpu::of(&self.keys) {
            return gpu::limits(&keys, shape);
        }
        Limits { rows: (32 / shape.group()).max(1), keys: 8 * PAGE }
    }

    /// Copies some pages.
    ///
    /// # Panics
    /// Panics when there is no such page.
    pub fn copy(&mut self, copies: &[PageCopy]) {
        let pages = self.pages();
        assert!(copies.iter().all(|copy| (copy.from.max(copy.to) as usize) < pages), "{copies:?} of {pages} pages");
        if copies.is_empty() {
            return;
        }
        #[cfg(feature = "gpu")]
        if let Some([keys, values]) = super::gpu::of_each([&self.keys, &self.values]) {
            return gpu::copy(&keys, &values, copies);
        }
        reference::copy(&mut self.keys, copies);
        reference::copy(&mut self.values, copies);
    }

    /// Writes the keys and values of new tokens into the pages of their texts, rounded to the type of the pages.
    ///
    /// # Shapes
    /// `k`, `v`: `[rows, key_heads * head_dim]`.
    ///
    /// # Panics
    /// Panics when the shapes do not fit or a text has a page that there is not.
    pub fn write(&mut self, k: &Tensor<2>, v: &Tensor<2>, rows: &NewRows) {
        let [_, heads, _, d] = self.keys.dims();
        let wanted = [rows.rows(), heads * d];
        assert!(k.dims() == wanted && v.dims() == wanted, "keys {:?} and values {:?}, expected {wanted:?}", k.dims(), v.dims());
        self.check(rows);
        #[cfg(feature = "gpu")]
        if let (Some([keys, values]), Some([k, v])) = (super::gpu::of_each([&self.keys, &self.values]), super::gpu::of_each([k, v])) {
            return gpu::write(&k, &v, &keys, &values, rows);
        }
        reference::write(&mut self.keys, k, &rows.plan);
        reference::write(&mut self.values, v, &rows.plan);
    }

    fn check(&self, rows: &NewRows) {
        let pages = self.pages();
        assert!(rows.plan.pages <= pages, "a text has a page beyond the {pages} that there are");
    }
}

/// Returns a tensor that kernels find as it is, not a copy of it, so that they can write to it.
fn in_place(entries: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if let Some(contiguous) = super::gpu::of(&entries) {
        return super::gpu::tensor(contiguous);
    }
    entries
}

/// Attends from new tokens, whose keys and values are written already, to their texts up to themselves.
///
/// # Shapes
/// `q` and the result: `[rows, heads * head_dim]`.
///
/// # Panics
/// Panics when the shapes do not fit or a text has a page that there is not.
#[must_use]
pub fn forward(q: &Tensor<2>, layer: &LayerPages, rows: &NewRows, shape: AttentionShape) -> Tensor<2> {
    let wanted = [rows.rows(), shape.heads * shape.head_dim];
    assert_eq!(q.dims(), wanted, "queries");
    assert_eq!(layer.keys.dims()[1..], [shape.key_heads, PAGE, shape.head_dim], "a page of keys");
    layer.check(rows);
    #[cfg(feature = "gpu")]
    if let (Some(q), Some([keys, values])) = (super::gpu::of(q), super::gpu::of_each([&layer.keys, &layer.values])) {
        return super::gpu::tensor(gpu::forward(&q, &keys, &values, rows, shape));
    }
    reference::forward(q, &layer.keys, &layer.values, rows, shape)
}
