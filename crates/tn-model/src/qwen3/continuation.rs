//! Several continuations of one prompt, decoded together, and beside those of other prompts.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::block::QueryKeyValue;
use super::packed::PackedQwen3;
use super::paged::PagedTexts;
use super::pass::{Part, Plan, pass, rows};
use crate::kernels::attention::{self, AttentionShape};
use crate::kernels::decode_attention::{self, Entries, LayerCache, PromptKeys, Run};
use crate::kernels::host;
use crate::kernels::qk_norm_rope::RotaryTable;

/// Continuations of one prompt: the prompt's keys and values are computed and stored once, whatever the number of continuations.
///
/// Continuations grow by one token or by several in one pass, and not all by the same number. [`pass`] takes those of several prompts
/// through the decoder together: its weights are read once for all of them.
pub struct Continuations<'m> {
    pub(super) model: &'m PackedQwen3,
    prompt: Vec<u32>,
    /// Tokens of the prompt that are read.
    read: usize,
    pub(super) keys: Keys,
    /// Where each continuation has its entries, and how many.
    slots: Vec<Slot>,
    pub(super) rotations: Arc<RotaryTable>,
    capacity: usize,
    /// Of the token after the prompt.
    prompt_logits: Tensor<2>,
    logits: Tensor<2>,
}

/// Keys and values of the prompt and its continuations.
pub(super) enum Keys {
    /// Of each layer, the texts' own.
    Own(Vec<LayerKeys>),
    /// In the pages of all texts on a GPU.
    Paged(PagedTexts),
}

/// Keys and values of one layer.
#[expect(clippy::large_enum_variant, reason = "there is one for each layer, beside megabytes of entries")]
pub(super) enum LayerKeys {
    /// The prompt is being read, into slot 0.
    Reading(Entries),
    Read(LayerCache),
}

#[derive(Clone, Copy)]
struct Slot {
    slot: usize,
    length: usize,
}

/// A possible way on: tokens after a continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The continuation.
    pub continuation: usize,
    /// The tokens; at least one.
    pub tokens: Vec<u32>,
}

/// What a pass does for the continuations of one prompt.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Reads so many further tokens of the prompt. What comes out does not depend on how the prompt is cut, as long as every part but the
    /// last has a multiple of [`Continuations::PART`] tokens.
    Read(usize),
    /// Appends a run of tokens to every continuation.
    Push(&'a [Vec<u32>]),
    /// Looks at branches, and leaves the continuations as they are.
    Peek(&'a [Branch]),
}

impl<'m> Continuations<'m> {
    /// Tokens of a part of a prompt: [`Step::Read`] in multiples of it gives the bits of reading all at once.
    pub const PART: usize = attention::QUERIES;

    /// Prepares `count` continuations, of up to `capacity` tokens each, of a prompt that is still to be read.
    ///
    /// # Panics
    /// Panics when the prompt is empty.
    #[must_use]
    pub fn new(model: &'m PackedQwen3, prompt: Vec<u32>, count: usize, capacity: usize) -> Self {
        assert!(!prompt.is_empty(), "a prompt has at least one token");
        let rotations = model.rotations(prompt.len() + capacity);
        let (config, device) = (model.config(), model.device());
        let width = config.num_key_value_heads * config.head_dim;
        let layer = || LayerKeys::Reading(Entries::empty(1, prompt.len(), width, &device));
        let keys = match model.store() {
            Some(store) => Keys::Paged(PagedTexts::new(Arc::clone(store))),
            None => Keys::Own(model.blocks.iter().map(|_| layer()).collect()),
        };
        let nothing = Tensor::empty([0, config.vocab_size], &device);
        let slots = slots(count);
        Self { model, prompt, read: 0, keys, slots, rotations, capacity, prompt_logits: nothing.clone(), logits: nothing }
    }

    /// Reads the prompt and prepares `count` continuations of up to `capacity` tokens each.
    ///
    /// # Panics
    /// Panics when the prompt is empty or a token is not below the vocabulary size.
    #[must_use]
    pub fn start(model: &'m PackedQwen3, prompt: &[u32], count: usize, capacity: usize) -> Self {
        let mut continuations = Self::new(model, prompt.to_vec(), count, capacity);
        continuations.pass(Step::Read(prompt.len()));
        continuations
    }

    /// Returns the bytes that a prompt of so many tokens and its continuations take at most.
    #[must_use]
    pub fn size_in_bytes(model: &PackedQwen3, prompt: usize, count: usize, capacity: usize) -> usize {
        if let Some(store) = model.store() {
            return PagedTexts::size_in_bytes(store, prompt, count, capacity);
        }
        let config = model.config();
        let of_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * size_of::<f32>();
        of_token.saturating_mul(prompt.saturating_add(count.saturating_mul(capacity)))
    }

    /// Returns how many tokens of the prompt are still to be read.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.prompt.len() - self.read
    }

    /// Forgets the continuations and prepares `count` new ones of the same prompt, which is not read again.
    ///
    /// # Panics
    /// Panics when the prompt is not read.
    pub fn restart(&mut self, count: usize) {
        assert!(self.unread() == 0, "the prompt is read before its continuations");
        match &mut self.keys {
            Keys::Own(layers) => {
                for layer in layers {
                    let LayerKeys::Read(cache) = layer else { continue };
                    let ([_, room, width], device) = (cache.own.keys.dims(), cache.own.keys.device());
                    cache.own = Entries::empty(count, room, width, &device);
                }
            }
            Keys::Paged(texts) => texts.restart(),
        }
        self.slots = slots(count);
        self.logits = self.prompt_logits.clone().repeat_dim(0, count);
    }

    /// Returns the number of continuations.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Returns the logits of the next token of every continuation, `[continuations, vocabulary]`; no row while the prompt is not read.
    #[must_use]
    pub fn logits(&self) -> &Tensor<2> {
        &self.logits
    }

    /// Appends one token to every continuation.
    ///
    /// # Panics
    /// Panics when there is not one token for each continuation, or the capacity is used up.
    pub fn push(&mut self, tokens: &[u32]) {
        let runs: Vec<Vec<u32>> = tokens.iter().map(|&token| vec![token]).collect();
        self.push_runs(&runs);
    }

    /// Appends a run of tokens to every continuation, in one pass.
    ///
    /// # Panics
    /// Panics when there is not one run for each continuation, a run is empty, or the capacity is used up.
    pub fn push_runs(&mut self, runs: &[Vec<u32>]) {
        self.pass(Step::Push(runs));
    }

    /// Returns the logits of the token that would follow each of some branches, `[branches, vocabulary]`, in one pass; the continuations stay
    /// as they are.
    ///
    /// # Panics
    /// Panics when there is no branch, a branch is empty or of no continuation, or goes beyond the capacity.
    #[must_use]
    pub fn peek(&mut self, branches: &[Branch]) -> Tensor<2> {
        self.pass(Step::Peek(branches)).expect("there is a branch")
    }

    /// Keeps only the named continuations, in the given order.
    ///
    /// # Panics
    /// Panics when none is named, or one twice.
    pub fn keep(&mut self, continuations: &[usize]) {
        let are_different = continuations.iter().enumerate().all(|(at, i)| !continuations[..at].contains(i));
        assert!(are_different && !continuations.is_empty(), "continuations {continuations:?} cannot be kept");
        self.slots = continuations.iter().map(|&i| self.slots[i]).collect();
        self.logits = rows(&self.logits, &continuations.iter().map(|&i| i as u32).collect::<Vec<_>>());
        if let Keys::Paged(texts) = &mut self.keys {
            texts.keep(&self.slots.iter().map(|slot| slot.slot).collect::<Vec<_>>());
        }
    }

    fn pass(&mut self, step: Step<'_>) -> Option<Tensor<2>> {
        pass(&mut [Part { continuations: self, step }]).swap_remove(0)
    }

    /// Lays out the rows of a step, the first of which is row `first` of the pass.
    pub(super) fn plan(&self, step: Step<'_>, first: usize) -> Plan {
        let (tokens, runs): (Vec<u32>, Vec<Run>) = match step {
            Step::Read(count) => {
                assert!(count > 0 && count <= self.unread(), "{count} tokens are to be read of {} that are left", self.unread());
                (self.prompt[self.read..self.read + count].to_vec(), vec![Run { slot: 0, own: self.read, tokens: count }])
            }
            Step::Push(runs) => {
                assert_eq!(runs.len(), self.count(), "one run for each continuation");
                (runs.concat(), runs.iter().enumerate().map(|(continuation, run)| self.run(continuation, run)).collect())
            }
            Step::Peek(branches) => {
                let tokens = branches.iter().flat_map(|branch| &branch.tokens).copied().collect();
                (tokens, branches.iter().map(|branch| self.run(branch.continuation, &branch.tokens)).collect())
            }
        };
        let is_reading = matches!(step, Step::Read(_));
        assert!(is_reading || self.unread() == 0, "the prompt is read before its continuations");
        let before = if is_reading { 0 } else { self.prompt.len() };
        let positions = runs.iter().flat_map(|run| (before + run.own..before + run.own + run.tokens).map(|position| position as u32));
        let mut end = first;
        let ends = runs.iter().map(|run| {
            end += run.tokens;
            end - 1
        });
        let wanted = if is_reading && tokens.len() < self.unread() { Vec::new() } else { ends.collect() };
        Plan { rows: first..first + tokens.len(), positions: positions.collect(), tokens, runs, wanted }
    }

    fn run(&self, continuation: usize, tokens: &[u32]) -> Run {
        let Slot { slot, length } = self.slots[continuation];
        assert!(!tokens.is_empty(), "a run has at least one token");
        assert!(length + tokens.len() <= self.capacity, "the cache has no room for another token");
        Run { slot, own: length, tokens: tokens.len() }
    }

    /// Attends from the rows of a step in one layer, and stores their keys and values unless the step only looks.
    ///
    /// # Panics
    /// Panics when the keys are in pages, where all texts of a pass attend together.
    pub(super) fn attend(
        &mut self,
        layer: usize,
        plan: &Plan,
        heads: &QueryKeyValue,
        only_looks: bool,
        shape: AttentionShape,
    ) -> Tensor<2> {
        let Keys::Own(layers) = &mut self.keys else { panic!("the keys are in pages") };
        match &mut layers[layer] {
            LayerKeys::Reading(entries) => {
                entries.append(&heads.k, &heads.v, &plan.runs, self.prompt.len());
                let read = self.read + plan.tokens.len();
                let (keys, values) = entries.of(0, read);
                let attended = attention::forward(&heads.q, &keys, &values, shape).output;
                if read == self.prompt.len() {
                    let prompt = PromptKeys::new(&keys, &values, shape, self.model.format());
                    let own = Entries::empty(self.slots.len(), 0, keys.dims()[1], &keys.device());
                    layers[layer] = LayerKeys::Read(LayerCache { prompt, own });
                }
                attended
            }
            LayerKeys::Read(cache) => {
                let attended = decode_attention::forward(&heads.q, &heads.k, &heads.v, &plan.runs, cache, shape);
                if !only_looks {
                    cache.own.append(&heads.k, &heads.v, &plan.runs, self.capacity);
                }
                attended
            }
        }
    }

    /// Notes what a pass has added.
    pub(super) fn note(&mut self, step: Step<'_>) {
        match step {
            Step::Read(count) => self.read += count,
            Step::Push(runs) => self.slots.iter_mut().zip(runs).for_each(|(slot, run)| slot.length += run.len()),
            Step::Peek(_) => {}
        }
    }

    pub(super) fn keep_logits(&mut self, step: Step<'_>, logits: Option<&Tensor<2>>) {
        let Some(logits) = logits else { return };
        match step {
            Step::Read(_) => {
                // A copy: a view would keep the logits of the whole pass.
                self.prompt_logits = host::copied(logits);
                self.logits = self.prompt_logits.clone().repeat_dim(0, self.count());
            }
            Step::Push(_) => self.logits = logits.clone(),
            Step::Peek(_) => {}
        }
    }
}

fn slots(count: usize) -> Vec<Slot> {
    (0..count).map(|slot| Slot { slot, length: 0 }).collect()
}
