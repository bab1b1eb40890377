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

use coordinates::cell_starts;

use crate::{Encoding, SentenceTokenizer};

/// Token ids and, aligned with them as in Hugging Face, what the model shall predict: the label at position `i` is the id at
/// position `i`, which the model predicts from the tokens before it, or [`TokenSequence::NO_LOSS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenSequence {
    /// The tokens.
    pub ids: Vec<u32>,
    /// One label for each token.
    pub labels: Vec<i32>,
    /// How much each label counts in the mean loss of a training step, from 0 to [`TokenSequence::LARGEST_WEIGHT`]; 1 unless something else
    /// was asked for. Validation losses do without.
    pub weights: Vec<f32>,
}

impl TokenSequence {
    /// The label of a token that carries no loss.
    pub const NO_LOSS: i32 = -100;

    /// The largest weight of a label.
    pub const LARGEST_WEIGHT: f32 = 1e6;

    /// Joins tokens and labels, which all count the same.
    ///
    /// # Panics
    ///
    /// When there is not one label for each token.
    pub fn new(ids: Vec<u32>, labels: Vec<i32>) -> Self {
        assert_eq!(ids.len(), labels.len(), "one label a token");
        let weights = vec![1.0; ids.len()];
        Self { ids, labels, weights }
    }

    /// Encodes a text. Every token that overlaps a coordinate carries no loss, nor does its sign.
    pub fn encode(tokenizer: &SentenceTokenizer, text: &str) -> Self {
        Self::encoded(tokenizer.encode(text), text)
    }

    /// Encodes a neighborhood: its last cell is the one that it is about, and counts `weight` times as much as a cell before.
    ///
    /// Of the cells of a neighborhood only the last has its own neighbors before it, so only there can a model learn what
    /// neighbors do to a cell; with a weight of 1, all that is before drowns it.
    pub fn encode_neighborhood(tokenizer: &SentenceTokenizer, text: &str, weight: f32) -> Self {
        let encoding = tokenizer.encode(text);
        let last = cell_starts(text).last().unwrap_or(0);
        let before = encoding.offsets.partition_point(|token| token.end <= last);
        let mut sequence = Self::encoded(encoding, text);
        sequence.weigh_last(sequence.len() - before, weight);
        sequence
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

    fn encoded(encoding: Encoding, text: &str) -> Self {
        let overlaps = |token: &Range<usize>, span: &Range<usize>| token.start < span.end && span.start < token.end;
        Self::masked(encoding, &coordinate_spans(text), overlaps)
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
        Self::new(ids, labels)
    }

    fn weigh_last(&mut self, tokens: usize, weight: f32) {
        let first = self.weights.len() - tokens;
        self.weights[first..].fill(weight);
    }

    fn extend(&mut self, other: &Self) {
        self.ids.extend(&other.ids);
        self.labels.extend(&other.labels);
        self.weights.extend(&other.weights);
    }

    fn push(&mut self, id: u32) {
        self.ids.push(id);
        self.labels.push(id as i32);
        self.weights.push(1.0);
    }

    fn truncate(&mut self, tokens: usize) {
        self.ids.truncate(tokens);
        self.labels.truncate(tokens);
        self.weights.truncate(tokens);
    }
}
