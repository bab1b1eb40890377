//! The keys and values of all texts on a GPU, in pages that texts with the same beginning share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Device, Tensor};

use super::block::Places;
use super::continuation::{Keys, Step};
use super::packed::PackedQwen3;
use super::pages::{PageTable, Pages};
use super::pass::{Part, Plan, Rows};
#[cfg(feature = "gpu")]
use super::recorded::Recordings;
use crate::Qwen3Config;
use crate::kernels::attention::AttentionShape;
#[cfg(feature = "gpu")]
use crate::kernels::gpu;
use crate::kernels::paged_attention::{self, LayerPages, Limits, NewRows, PAGE, PageCopy, Run};
use crate::kernels::qk_norm_rope::RotaryTable;
use crate::kernels::{Numbers, embedding};

/// Pages that a store has at least, once it has any.
const FIRST: usize = 16;

/// Rows of a pass up to which it gets one of a few shapes, so that products of few shapes are tuned, and passes are recorded.
const FEW: usize = 256;

/// The pages of all layers. A text has the same page in every layer.
#[derive(Debug)]
pub(super) struct Store {
    pages: Pages,
    /// No pages before the first text.
    layers: Vec<LayerPages>,
    count: usize,
    /// Bytes that there are for pages, where somebody knows.
    room: Option<usize>,
    shape: AttentionShape,
    dtype: DType,
    device: Device,
    #[cfg(feature = "gpu")]
    recordings: Recordings,
}

impl Store {
    pub(super) fn new(config: &Qwen3Config, dtype: DType, device: &Device) -> Self {
        let (count, shape) = (config.num_hidden_layers, AttentionShape::of(config));
        Self {
            pages: Pages::default(),
            layers: Vec::new(),
            count,
            room: None,
            shape,
            dtype,
            device: device.clone(),
            #[cfg(feature = "gpu")]
            recordings: Recordings::default(),
        }
    }

    /// Makes room for new tokens of a text; there are more pages where those that there are do not suffice.
    fn append(&mut self, table: &mut PageTable, tokens: usize) -> Option<PageCopy> {
        loop {
            match self.pages.append(table, tokens) {
                Ok(copy) => return copy,
                // By half of all where there is room: pages move when there are more of them.
                Err(out) => {
                    let most = self.room.map_or(usize::MAX, |bytes| bytes / self.bytes_of_page());
                    let room = most.saturating_sub(self.pages.count());
                    self.grow((self.pages.count() / 2).max(FIRST).min(room).max(out.wanted - out.free));
                }
            }
        }
    }

    /// Adds pages, layer by layer, so that there is never more than one of the layers twice.
    fn grow(&mut self, pages: usize) {
        self.pages.grow(pages);
        #[cfg(feature = "gpu")]
        self.recordings.clear();
        if self.layers.is_empty() {
            let layer = || LayerPages::empty(pages, self.shape, self.dtype, &self.device);
            self.layers = (0..self.count).map(|_| layer()).collect();
        } else {
            self.layers.iter_mut().for_each(|layer| layer.grow(pages));
        }
    }

    /// Sets the bytes that there are for pages.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.room = Some(bytes);
    }

    pub(super) fn room(&self) -> Option<usize> {
        self.room
    }

    fn limits(&self) -> Limits {
        self.layers[0].limits(self.shape)
    }

    /// Takes rows through the decoder; returns nothing where no logits are wanted.
    fn run(&mut self, model: &PackedQwen3, inputs: Inputs) -> Option<Tensor<2>> {
        let layers = &mut self.layers;
        if inputs.wanted.is_empty() {
            let _stored = through_blocks(model, layers, &inputs);
            return None;
        }
        let mut pass = |inputs: &Inputs| {
            let x = through_blocks(model, layers, inputs);
            model.logits(&if inputs.wants_all() { x } else { embedding::forward(&x, &inputs.wanted) })
        };
        #[cfg(feature = "gpu")]
        if let (true, Some(client)) = (inputs.ids.len() <= FEW, gpu::client(&model.norm)) {
            return Some(self.recordings.run(inputs, &client, &mut pass));
        }
        Some(pass(&inputs))
    }

    /// Returns how many passes were repeated from a recording.
    pub(super) fn repeated(&self) -> u64 {
        #[cfg(feature = "gpu")]
        return self.recordings.repeated;
        #[cfg(not(feature = "gpu"))]
        0
    }

    fn bytes_of_page(&self) -> usize {
        2 * self.count * self.shape.key_heads * self.shape.head_dim * PAGE * self.dtype.size()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A prompt and its continuations in a store.
pub(super) struct PagedTexts {
    store: Arc<Mutex<Store>>,
    prompt: PageTable,
    /// Of each slot; no slot before the first token of a continuation.
    texts: Vec<PageTable>,
}

impl PagedTexts {
    pub(super) fn new(store: Arc<Mutex<Store>>) -> Self {
        Self { store, prompt: PageTable::default(), texts: Vec::new() }
    }

    /// Returns the bytes that a prompt and its continuations take at most.
    pub(super) fn size_in_bytes(store: &Mutex<Store>, prompt: usize, count: usize, capacity: usize) -> usize {
        // A continuation begins with a copy of the prompt's last page, where that is not full.
        let of_text = prompt % PAGE + capacity;
        let pages = prompt.div_ceil(PAGE).saturating_add(count.saturating_mul(of_text.div_ceil(PAGE)));
        pages.saturating_mul(lock(store).bytes_of_page())
    }

    /// Forgets the continuations.
    pub(super) fn restart(&mut self) {
        self.keep(&[]);
        self.texts.clear();
    }

    /// Forgets the continuations of all other slots.
    pub(super) fn keep(&mut self, slots: &[usize]) {
        let mut store = lock(&self.store);
        for (slot, text) in self.texts.iter_mut().enumerate() {
            if !slots.contains(&slot) {
                store.pages.release(std::mem::take(text));
            }
        }
    }

    /// Returns the text in a slot; all slots begin with the whole prompt.
    fn text(&mut self, slot: usize, pages: &mut Pages) -> &mut PageTable {
        while self.texts.len() <= slot {
            self.texts.push(pages.fork(&self.prompt));
        }
        &mut self.texts[slot]
    }
}

impl Drop for PagedTexts {
    fn drop(&mut self) {
        self.restart();
        lock(&self.store).pages.release(std::mem::take(&mut self.prompt));
    }
}

/// What the launches of a pass read besides weights and pages.
#[derive(Debug)]
pub(super) struct Inputs {
    ids: Numbers,
    positions: Numbers,
    pub(super) table: Arc<RotaryTable>,
    pub(super) rows: NewRows,
    /// The rows whose logits are wanted.
    pub(super) wanted: Numbers,
}

impl Inputs {
    fn new(runs: &[Run<'_>], limits: Limits, rows: &Rows) -> Self {
        let (count, wanted) = (padded(rows.ids.len()), padded(rows.wanted.len()));
        let numbers = |numbers: &[u32], length: usize| Numbers::from([numbers, &vec![0; length - numbers.len()]].concat());
        let wants_all = rows.wanted.len() == rows.ids.len();
        Self {
            ids: numbers(&rows.ids, count),
            positions: numbers(&rows.positions, count),
            table: Arc::clone(&rows.table),
            rows: if count <= FEW { NewRows::padded(runs, limits, count) } else { NewRows::new(runs, limits) },
            wanted: if wants_all { (0..count as u32).collect() } else { numbers(&rows.wanted, wanted) },
        }
    }

    /// Returns whether the logits of all rows are wanted, in their order.
    pub(super) fn wants_all(&self) -> bool {
        self.wanted.iter().copied().eq(0..self.ids.len() as u32)
    }

    /// Puts the inputs of another pass in the place of these.
    #[cfg(feature = "gpu")]
    pub(super) fn overwrite(&mut self, inputs: Self) {
        self.ids.overwrite(inputs.ids);
        self.positions.overwrite(inputs.positions);
        self.rows.overwrite(inputs.rows);
        self.wanted.overwrite(inputs.wanted);
    }
}

/// The texts of a pass, while it runs.
struct PagedPass<'s> {
    store: MutexGuard<'s, Store>,
    /// Branches that are only looked at.
    looks: Vec<PageTable>,
}

/// Takes the rows of all parts through the decoder, stores their keys and values, and returns the logits that are wanted,
/// `[wanted, vocabulary]`.
pub(super) fn run(model: &PackedQwen3, store: &Mutex<Store>, parts: &mut [Part<'_, '_>], plans: &[Plan], rows: &Rows) -> Option<Tensor<2>> {
    let mut pass = PagedPass::begin(store, parts, plans);
    let inputs = Inputs::new(&runs(parts, plans, &pass.looks), pass.store.limits(), rows);
    let logits = pass.store.run(model, inputs)?;
    Some(logits.narrow(0, 0, rows.wanted.len()))
}

impl<'s> PagedPass<'s> {
    /// Makes room for the new tokens of all parts.
    fn begin(store: &'s Mutex<Store>, parts: &mut [Part<'_, '_>], plans: &[Plan]) -> Self {
        let mut store = lock(store);
        let (mut copies, mut looks) = (Vec::new(), Vec::new());
        for (part, plan) in parts.iter_mut().zip(plans) {
            let texts = paged(&mut part.continuations.keys);
            for run in &plan.runs {
                let copy = match part.step {
                    Step::Read(_) => store.append(&mut texts.prompt, run.tokens),
                    Step::Push(_) => {
                        texts.text(run.slot, &mut store.pages);
                        store.append(&mut texts.texts[run.slot], run.tokens)
                    }
                    Step::Peek(_) => {
                        let text = texts.text(run.slot, &mut store.pages);
                        let mut look = store.pages.fork(text);
                        let copy = store.append(&mut look, run.tokens);
                        looks.push(look);
                        copy
                    }
                };
                copies.extend(copy);
            }
        }
        store.layers.iter_mut().for_each(|layer| layer.copy(&copies));
        Self { store, looks }
    }
}

impl Drop for PagedPass<'_> {
    fn drop(&mut self) {
        self.looks.drain(..).for_each(|look| self.store.pages.release(look));
    }
}

/// Returns how many rows a pass gets that has so many.
fn padded(rows: usize) -> usize {
    match rows {
        0 => 0,
        1..=16 => rows.next_power_of_two(),
        17..=64 => rows.next_multiple_of(16),
        65..=FEW => rows.next_multiple_of(64),
        _ => rows,
    }
}

/// Launches the work of all blocks, and returns what comes out of the last one.
fn through_blocks(model: &PackedQwen3, layers: &mut [LayerPages], inputs: &Inputs) -> Tensor<2> {
    let places = Places { table: &inputs.table, positions: &inputs.positions };
    let mut x = model.embed(&inputs.ids);
    for (block, layer) in model.blocks.iter().zip(layers) {
        let heads = block.query_key_value(&x, places);
        layer.write(&heads.k, &heads.v, &inputs.rows);
        x = block.after_attention(&x, &paged_attention::forward(&heads.q, layer, &inputs.rows, block.shape));
    }
    x
}

fn paged(keys: &mut Keys) -> &mut PagedTexts {
    match keys {
        Keys::Paged(texts) => texts,
        Keys::Own(_) => panic!("the keys of a model with a store are in its pages"),
    }
}

/// Returns the runs of all parts, to which the tables have room for the new tokens already.
fn runs<'a>(parts: &'a mut [Part<'_, '_>], plans: &[Plan], looks: &'a [PageTable]) -> Vec<Run<'a>> {
    let (mut runs, mut looks) = (Vec::new(), looks.iter());
    for (part, plan) in parts.iter_mut().zip(plans) {
        let texts = &*paged(&mut part.continuations.keys);
        for run in &plan.runs {
            let table = match part.step {
                Step::Read(_) => &texts.prompt,
                Step::Push(_) => &texts.texts[run.slot],
                Step::Peek(_) => looks.next().expect("there is one for each branch"),
            };
            runs.push(Run { pages: table.pages(), before: table.length() - run.tokens, tokens: run.tokens });
        }
    }
    runs
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;
    use crate::kernels::packed_linear::WeightFormat;
    use crate::qwen3::{Branch, Continuations, PackedQwen3, Qwen3};
    use crate::{DeviceChoice, Qwen3Config};

    #[test]
    fn every_page_is_given_back() {
        let found = [DeviceChoice::Cuda(0), DeviceChoice::Wgpu].into_iter().find_map(|choice| choice.open().ok());
        let Some(device) = found else {
            eprintln!("skipped: there is no GPU device");
            return;
        };
        let config = Qwen3Config { num_hidden_layers: 1, hidden_size: 32, ..Qwen3Config::tiny(50) };
        let model = PackedQwen3::pack(&Qwen3::initialize(&config, 1, &device), WeightFormat::F32);
        let used = || {
            let store = lock(model.store().expect("the model is on a GPU"));
            store.pages.count() - store.pages.free()
        };
        let mut continuations = Continuations::start(&model, &[1; 100], 3, 100);
        assert_eq!(used(), 2, "the prompt");
        continuations.push(&[1, 2, 3]);
        assert_eq!(used(), 2 + 3, "a copy of the last page for each");
        let branch = Branch { continuation: 0, tokens: vec![4; 60] };
        let _logits = continuations.peek(&[branch.clone(), branch]);
        assert_eq!(used(), 5, "looking leaves nothing behind");
        continuations.keep(&[2]);
        assert_eq!(used(), 3);
        let other = Continuations::start(&model, &[1; 64 * 7], 1, 1);
        assert_eq!(used(), 3 + 7);
        drop(other);
        continuations.restart(2);
        assert_eq!(used(), 2);
        assert_eq!(Continuations::size_in_bytes(&model, 100, 3, 30), (2 + 3 * 2) * 64 * 2 * 2 * 32 * 4);
        drop(continuations);
        assert_eq!(used(), 0);
    }
}
