//! Continuous batching: many requests in the same passes of the model, each beginning when there is room and leaving when it is done.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::GenerateError;
use super::decoding::Decoding;
use super::generator::Request;
use super::session::{Outcome, Session};
use crate::kernels::sample::{self, Draw};
use crate::qwen3::{Continuations, PackedQwen3, Part, pass};

/// How many requests are decoded together.
///
/// Neither what is written nor its order within a request depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Texts that are written together at most, and tokens of one pass: what the texts leave is for prompts, which are read in parts. Where
    /// a grammar forces tokens or branches are looked at, a pass may have more.
    pub tokens: usize,
    /// Bytes that keys and values of all requests take together at most. A request that would exceed it by itself is decoded alone.
    pub cache_bytes: usize,
    /// Bytes of weights up to which every thread decodes one request at a time, with all its samples: such weights stay in the caches of the
    /// processor, and threads that do not wait for each other are faster.
    pub small_model_bytes: usize,
}

impl Default for Batching {
    /// 512 tokens, which keep the processor busy, 4 GiB, and models of 32 MiB.
    fn default() -> Self {
        Self { tokens: 512, cache_bytes: 4 << 30, small_model_bytes: PackedQwen3::SMALL }
    }
}

impl Batching {
    /// Tokens of a pass that keep a GPU busy.
    const TOKENS_OF_GPU: usize = 8_192;

    /// Returns what suits the device of a model: on a GPU 8,192 tokens, and most of the memory that the weights leave; else the default.
    #[must_use]
    pub fn of(model: &PackedQwen3) -> Self {
        let usual = Self::default();
        if !model.is_on_gpu() {
            return usual;
        }
        Self { tokens: Self::TOKENS_OF_GPU, cache_bytes: model.room_for_texts().unwrap_or(usual.cache_bytes), ..usual }
    }
}

/// Logits from which the draws of a pass are divided among threads.
const PARALLEL: usize = 1 << 18;

/// What is made of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Samples,
    ExpectedRanking,
}

/// Requests that are decoded together.
pub(super) struct Scheduler<'a> {
    pub(super) decoding: &'a Decoding<'a>,
    pub(super) batching: Batching,
    pub(super) requests: &'a [Request],
    pub(super) wanted: Wanted,
    /// Nothing more is done once it is set.
    pub(super) interrupt: Option<&'a AtomicBool>,
    /// Takes the new text of a sample of a request; a break gives the request up, which is not delivered then.
    pub(super) hear: &'a (dyn Fn(usize, u32, &str) -> ControlFlow<()> + Sync),
    /// Takes what a request has come to; a break gives up all that are not delivered.
    pub(super) deliver: &'a (dyn Fn(usize, Result<Outcome, GenerateError>) -> ControlFlow<()> + Sync),
}

/// A request that is being decoded.
struct Active<'a> {
    index: usize,
    session: Session<'a>,
    bytes: usize,
    has_been_given_up: bool,
}

/// What the batches of one call share.
struct Shared {
    queue: Mutex<Queue>,
    is_stopped: AtomicBool,
}

/// The requests that are not begun.
#[derive(Default)]
struct Queue {
    /// The first of them.
    next: usize,
    /// Its prompt, once somebody has looked at it.
    prompt: Option<Vec<u32>>,
    /// What the requests take that are being decoded.
    bytes: usize,
}

/// A request that there is room for.
struct Admitted {
    prompt: Vec<u32>,
    bytes: usize,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Scheduler<'a> {
    /// Decodes all requests: one for each thread at a time where the model is small, else in one batch whose products are divided among the
    /// threads.
    pub(super) fn run(&self) {
        let shared = Shared { queue: Mutex::default(), is_stopped: AtomicBool::new(false) };
        let model = self.decoding.model;
        // A device is one for all threads.
        let is_small = !model.is_on_gpu() && model.size_in_bytes() <= self.batching.small_model_bytes;
        match is_small && self.requests.len() > 1 {
            true => drop(rayon::broadcast(|_| self.run_batch(&shared, 1))),
            false => self.run_batch(&shared, usize::MAX),
        }
    }

    /// Decodes requests, at most so many at a time, until there are no more.
    fn run_batch(&self, shared: &Shared, most: usize) {
        let mut active = Vec::new();
        while !self.is_stopped(shared) {
            self.admit(shared, &mut active, most);
            if active.is_empty() {
                return;
            }
            self.step(&mut active);
            for done in active.extract_if(.., |active| active.has_been_given_up || active.session.is_done()) {
                let mut queue = shared.queue();
                queue.bytes = queue.bytes.saturating_sub(done.bytes);
                drop(queue);
                if !done.has_been_given_up {
                    let index = done.index;
                    let outcome = done.session.finish(&mut |sample, text| (self.hear)(index, sample, text));
                    self.hand_over(shared, index, Ok(outcome));
                }
            }
        }
    }

    fn is_stopped(&self, shared: &Shared) -> bool {
        shared.is_stopped.load(Ordering::Relaxed) || self.interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }

    fn hand_over(&self, shared: &Shared, index: usize, outcome: Result<Outcome, GenerateError>) {
        if !self.is_stopped(shared) && (self.deliver)(index, outcome).is_break() {
            shared.is_stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Begins requests, in their order, as long as there is room for them.
    fn admit(&self, shared: &Shared, active: &mut Vec<Active<'a>>, most: usize) {
        while active.len() < most && !self.is_stopped(shared) {
            let texts: usize = active.iter().map(|active| self.requests[active.index].samples as usize).sum();
            match self.next(shared, texts) {
                Some((index, Ok(Admitted { prompt, bytes }))) => {
                    let session = self.session(&self.requests[index], prompt);
                    active.push(Active { index, session, bytes, has_been_given_up: false });
                }
                Some((index, Err(error))) => self.hand_over(shared, index, Err(error)),
                None => return,
            }
        }
    }

    /// Takes the next request from the queue and reserves its bytes, if there is room for it beside others, or none is being decoded.
    fn next(&self, shared: &Shared, texts: usize) -> Option<(usize, Result<Admitted, GenerateError>)> {
        let mut queue = shared.queue();
        let (index, request) = (queue.next, self.requests.get(queue.next)?);
        let prompt = match queue.prompt.take().map_or_else(|| self.decoding.prompt(request), Ok) {
            Ok(prompt) => prompt,
            Err(error) => {
                queue.next += 1;
                return Some((index, Err(error)));
            }
        };
        let bytes = self.decoding.size_in_bytes(request, prompt.len());
        if let Some(room) = self.decoding.model.room_for_texts().filter(|&room| bytes > room) {
            queue.next += 1;
            return Some((index, Err(GenerateError::NoRoom { cell_name: request.id.clone(), bytes, room })));
        }
        let has_room = queue.bytes.saturating_add(bytes) <= self.batching.cache_bytes;
        let has_place = texts == 0 || texts.saturating_add(request.samples as usize) <= self.batching.tokens;
        if !has_place || !(has_room || queue.bytes == 0) {
            queue.prompt = Some(prompt);
            return None;
        }
        queue.next += 1;
        queue.bytes = queue.bytes.saturating_add(bytes);
        Some((index, Ok(Admitted { prompt, bytes })))
    }

    fn session(&self, request: &'a Request, prompt: Vec<u32>) -> Session<'a> {
        match self.wanted {
            Wanted::Samples => Session::samples(self.decoding, request, prompt),
            Wanted::ExpectedRanking => Session::expected_ranking(self.decoding, request, prompt),
        }
    }

    /// Takes all requests through one pass of the model.
    fn step(&self, active: &mut [Active<'a>]) {
        let of_prompts = self.tokens_of_prompts(active);
        let (mut asked, mut parts): (Vec<usize>, Vec<Part<'_, 'a>>) = (Vec::new(), Vec::new());
        for (at, (active, tokens)) in active.iter_mut().zip(of_prompts).enumerate() {
            if let Some(part) = active.session.part(tokens) {
                asked.push(at);
                parts.push(part);
            }
        }
        let logits = pass(&mut parts);
        let drawn: usize = logits.iter().flatten().map(|logits| logits.dims().iter().product::<usize>()).sum();
        let mut answers: Vec<Option<_>> = active.iter().map(|_| None).collect();
        asked.into_iter().zip(logits).for_each(|(at, logits)| answers[at] = logits);
        let advance = |(active, logits): (&mut Active<'a>, Option<Tensor<2>>)| {
            let index = active.index;
            let heard = active.session.advance(logits.as_ref(), &mut |sample, text| (self.hear)(index, sample, text));
            active.has_been_given_up = heard.is_break();
        };
        match drawn >= PARALLEL {
            true => active.par_iter_mut().zip(answers).for_each(advance),
            false => active.iter_mut().zip(answers).for_each(advance),
        }
        while self.draw_on_device(active) {}
    }

    /// Makes the draws that wait for the device, of all requests together, and returns whether there were any.
    fn draw_on_device(&self, active: &mut [Active<'a>]) -> bool {
        let waiting = active.iter().filter(|active| !active.has_been_given_up).filter_map(|active| active.session.draws());
        let (logits, draws): (Vec<Tensor<2>>, Vec<Vec<Draw<'_>>>) = waiting.map(|(logits, draws)| (logits.clone(), draws)).unzip();
        if logits.is_empty() {
            return false;
        }
        let drawn = sample::draw(&Tensor::cat(logits, 0), &draws.concat()).expect("draws wait only for a device that makes them");
        let mut drawn = drawn.as_slice();
        for active in active.iter_mut().filter(|active| !active.has_been_given_up) {
            let Some(count) = active.session.draws().map(|(_, draws)| draws.len()) else { continue };
            let (of_session, rest) = drawn.split_at(count);
            let index = active.index;
            active.has_been_given_up = active.session.drawn(of_session, &mut |sample, text| (self.hear)(index, sample, text)).is_break();
            drawn = rest;
        }
        true
    }

    /// Returns how many tokens of its prompt each request reads in the next pass: what the texts that are being written leave, in the order
    /// of the requests.
    fn tokens_of_prompts(&self, active: &[Active<'a>]) -> Vec<usize> {
        let written: usize = active.iter().filter(|a| !a.session.is_reading()).map(|a| a.session.tokens_wanted()).sum();
        let mut room = self.batching.tokens.saturating_sub(written).max(Continuations::PART);
        let shares = active.iter().map(|active| {
            if !active.session.is_reading() {
                return 0;
            }
            let wanted = active.session.tokens_wanted();
            let share = if wanted <= room { wanted } else { room / Continuations::PART * Continuations::PART };
            room -= share;
            share
        });
        shares.collect()
    }
}
