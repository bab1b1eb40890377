//! Continuous batching: many requests in the same passes of the model, each beginning when there is room and leaving when it is done.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use super::GenerateError;
use super::decoding::Decoding;
use super::generator::Request;
use super::session::{Outcome, Session};
use crate::kernels::host;
use crate::qwen3::{Continuations, Part, pass};

/// How many requests are decoded together.
///
/// Neither what is written nor its order within a request depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Tokens of one pass: of texts that are being written, and, where those leave room, of prompts, which are read in parts.
    pub tokens: usize,
    /// Bytes that keys and values of the requests take together at most. A request that would exceed it by itself is decoded alone.
    pub cache_bytes: usize,
    /// Bytes of weights up to which every thread decodes one request at a time, with all its samples: such weights stay in the caches of the
    /// processor, and threads that do not wait for each other are faster.
    pub small_model_bytes: usize,
}

impl Default for Batching {
    /// 512 tokens, which keep the processor busy, 4 GiB, and models of 32 MiB.
    fn default() -> Self {
        Self { tokens: 512, cache_bytes: 4 << 30, small_model_bytes: 32 << 20 }
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
    /// The first request that is not begun.
    next: Mutex<usize>,
    is_stopped: AtomicBool,
    bytes: AtomicUsize,
}

impl<'a> Scheduler<'a> {
    /// Decodes all requests: one for each thread at a time where the model is small, else in one batch whose products are divided among the
    /// threads.
    pub(super) fn run(&self) {
        let shared = Shared { next: Mutex::new(0), is_stopped: AtomicBool::new(false), bytes: AtomicUsize::new(0) };
        match self.decoding.model.size_in_bytes() <= self.batching.small_model_bytes && self.requests.len() > 1 {
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
                shared.bytes.fetch_sub(done.bytes, Ordering::Relaxed);
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
            let Some(index) = self.next(shared, active.is_empty(), texts) else { return };
            match self.begin(index) {
                Ok(begun) => {
                    shared.bytes.fetch_add(begun.bytes, Ordering::Relaxed);
                    active.push(begun);
                }
                Err(error) => self.hand_over(shared, index, Err(error)),
            }
        }
    }

    /// Takes the next request from the queue, if there is room for it beside others, or none is being decoded.
    fn next(&self, shared: &Shared, is_idle: bool, texts: usize) -> Option<usize> {
        let mut next = shared.next.lock().unwrap_or_else(PoisonError::into_inner);
        let request = self.requests.get(*next)?;
        let fits = || {
            // At least one byte of a prompt becomes a token.
            let bytes = self.decoding.size_in_bytes(request, request.prompt.len());
            texts + request.samples as usize <= self.batching.tokens
                && shared.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.batching.cache_bytes
        };
        (is_idle || fits()).then(|| {
            *next += 1;
            *next - 1
        })
    }

    fn begin(&self, index: usize) -> Result<Active<'a>, GenerateError> {
        let request = &self.requests[index];
        let prompt = self.decoding.prompt(request)?;
        let bytes = self.decoding.size_in_bytes(request, prompt.len());
        let session = match self.wanted {
            Wanted::Samples => Session::samples(self.decoding, request, prompt),
            Wanted::ExpectedRanking => Session::expected_ranking(self.decoding, request, prompt),
        };
        Ok(Active { index, session, bytes, has_been_given_up: false })
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
        let advance = |(active, logits): (&mut Active<'a>, Option<burn::tensor::Tensor<2>>)| {
            let logits = logits.map(|logits| host::values(&logits));
            let index = active.index;
            let heard = active.session.advance(logits.as_deref(), &mut |sample, text| (self.hear)(index, sample, text));
            active.has_been_given_up = heard.is_break();
        };
        match drawn >= PARALLEL {
            true => active.par_iter_mut().zip(answers).for_each(advance),
            false => active.iter_mut().zip(answers).for_each(advance),
        }
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
