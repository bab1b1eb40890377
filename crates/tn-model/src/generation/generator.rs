//! The seam between what writes cells and the engine that continues text.

use std::ops::ControlFlow;

use tn_sentence::{FinishReason, request_seed};

use super::{GenerateError, Sampling};

/// An engine that continues prompts: the decoder of this crate, or a server.
///
/// [`CellWriter`](super::CellWriter) turns tasks into requests and continuations into cells; an engine knows neither.
///
/// # Contract
///
/// - Every request is delivered once, unless `deliver` said stop before or the engine is interrupted in a way of its own; when `generate` returns, nothing is delivered any more.
/// - A request that fails delivers its error and does not stop the others.
/// - What is delivered for a request depends on the request only: not on the other requests, their order, or the number of threads.
pub trait Generator: Sync {
    /// Continues all prompts, and hands over each one's continuations as soon as they are complete.
    ///
    /// `deliver` is called with the index of the request and its continuations, as many as its samples and in their order. It may be called
    /// from any thread, by several at once, and in any order of requests. When it returns [`ControlFlow::Break`], no further request is
    /// started; those already running may still be delivered.
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>);

    /// Returns by how many tokens the prompt and the longest answer of a request together exceed what the model can read: 0 where they fit,
    /// and where the engine cannot tell.
    fn excess_tokens(&self, request: &Request) -> usize {
        let _ = request;
        0
    }
}

/// Takes the continuations of the request with an index, and says whether to go on.
pub type Deliver<'a> = dyn Fn(usize, Result<Vec<Continuation>, GenerateError>) -> ControlFlow<()> + Sync + 'a;

/// A prompt to be continued, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Names the request in errors and, with `seed` and the number of the sample, decides the draws: the name of the target cell.
    pub id: String,
    /// The text to be continued.
    pub prompt: String,
    /// The end of the prompt that belongs to the cell. After `<cs>` a gene list is continued.
    pub header: String,
    /// Continuations wanted.
    pub samples: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Tokens of one continuation at most.
    pub max_new_tokens: usize,
    /// Seed of the run.
    pub seed: u64,
}

impl Request {
    /// Where a continuation ends.
    pub const STOP: &str = "</cs>";

    /// Returns the seed of one sample, by [`request_seed`].
    #[must_use]
    pub fn sample_seed(&self, sample: u32) -> u64 {
        request_seed(self.seed, &self.id, sample)
    }

    /// Returns whether the prompt ends inside a gene list.
    #[must_use]
    pub fn begins_in_genes(&self) -> bool {
        self.header.ends_with("<cs>")
    }
}

/// What an engine wrote after a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// The text, up to and with [`Request::STOP`].
    pub text: String,
    /// Why it ends.
    pub finish_reason: FinishReason,
    /// Tokens written.
    pub tokens: u32,
    /// How often a panel changed what the model would have written.
    pub repairs: u32,
    /// Whether the limit of tokens cut a list of whole genes, which a closing tag therefore completes.
    pub is_cut_between_genes: bool,
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>) {
        (**self).generate(requests, deliver);
    }

    fn excess_tokens(&self, request: &Request) -> usize {
        (**self).excess_tokens(request)
    }
}

impl<G: Generator + ?Sized> Generator for &G {
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>) {
        (**self).generate(requests, deliver);
    }

    fn excess_tokens(&self, request: &Request) -> usize {
        (**self).excess_tokens(request)
    }
}
