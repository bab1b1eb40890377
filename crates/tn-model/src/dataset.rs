//! Spatial sentences as training sequences.
//!
//! [`Chunker`] packs whole cells into sequences that fit the context and hides the coordinates from the loss;
//! [`epoch_order`] says in which order an epoch visits them.

mod chunker;
mod coordinates;
mod epoch_order;
mod published;

pub use chunker::{ChunkError, ChunkReport, Chunker, Chunks, CutCell};
pub use coordinates::{coordinate_spans, published_coordinate_spans};
pub use epoch_order::epoch_order;

use std::ops::Range;

use crate::{Encoding, SentenceTokenizer};

/// Token ids and, aligned with them as in Hugging Face, what the model shall predict: the label at position `i` is the id at
/// position `i`, which the model predicts from the tokens before it, or [`TokenSequence::NO_LOSS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSequence {
    /// The tokens.
    pub ids: Vec<u32>,
    /// One label for each token.
    pub labels: Vec<i32>,
}

impl TokenSequence {
    /// The label of a token that carries no loss.
    pub const NO_LOSS: i32 = -100;

    /// Encodes a text. Every token that overlaps a coordinate carries no loss, nor does its sign.
    pub fn encode(tokenizer: &SentenceTokenizer, text: &str) -> Self {
        let overlaps = |token: &Range<usize>, span: &Range<usize>| token.start < span.end && span.start < token.end;
        Self::masked(tokenizer.encode(text), &coordinate_spans(text), overlaps)
    }

    /// Returns the number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the number of tokens that carry loss. The first token never does: nothing predicts it.
    pub fn labelled_tokens(&self) -> usize {
        self.labels.iter().skip(1).filter(|label| **label != Self::NO_LOSS).count()
    }

    /// Takes the loss off the first `tokens` tokens, such as those of a prompt.
    pub fn without_loss_before(mut self, tokens: usize) -> Self {
        let end = tokens.min(self.labels.len());
        self.labels[..end].fill(Self::NO_LOSS);
        self
    }

    fn masked(encoding: Encoding, spans: &[Range<usize>], hidden: impl Fn(&Range<usize>, &Range<usize>) -> bool) -> Self {
        let Encoding { ids, offsets } = encoding;
        // Tokens and spans are both in the order of the text, so one pass over each is enough.
        let mut spans = spans.iter().peekable();
        let labels = ids
            .iter()
            .zip(&offsets)
            .map(|(&id, token)| {
                while spans.next_if(|span| span.end <= token.start).is_some() {}
                match spans.peek() {
                    Some(span) if hidden(token, span) => Self::NO_LOSS,
                    _ => id as i32,
                }
            })
            .collect();
        Self { ids, labels }
    }

    fn extend(&mut self, other: &Self) {
        self.ids.extend(&other.ids);
        self.labels.extend(&other.labels);
    }

    fn push(&mut self, id: u32) {
        self.ids.push(id);
        self.labels.push(id as i32);
    }

    fn truncate(&mut self, tokens: usize) {
        self.ids.truncate(tokens);
        self.labels.truncate(tokens);
    }
}
